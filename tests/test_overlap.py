import threading
from contextlib import closing

import pytest
from conftest import BOUND

from daframework.data.overlap import in_threads


@pytest.mark.parametrize("threads, most", [(1, 1), (1, 5), (3, 2), (4, 100)])
def test_results_come_in_order(threads, most):
    assert list(in_threads(lambda one: one * one, range(20), threads=threads, most=most)) == [i * i for i in range(20)]
    assert list(in_threads(str, [], threads=threads, most=most)) == []


def test_no_more_are_begun_than_allowed():
    taken = []

    def items():
        for item in range(10):
            taken.append(item)
            yield item

    with closing(in_threads(str, items(), threads=2, most=3)) as results:
        for given, _ in enumerate(results, start=1):
            assert len(taken) <= given + 3
    assert len(taken) == 10


def test_the_next_is_made_while_the_caller_is_busy():
    second = threading.Event()

    def make(item):
        if item == 1:
            second.set()
        return item

    with closing(in_threads(make, range(3), threads=1, most=1)) as results:
        next(results)
        assert second.wait(timeout=BOUND)


def test_an_error_comes_in_its_turn_whatever_the_threads_do():
    slow = threading.Event()

    def make(item):
        if item == 1:
            slow.wait(timeout=BOUND)
            raise ValueError("first")
        if item == 2:
            slow.set()
            raise ValueError("second")
        return item

    results = in_threads(make, range(4), threads=3, most=4)
    assert next(results) == 0
    with pytest.raises(ValueError, match="first"):
        next(results)


def test_what_was_begun_is_finished_before_the_items_error_comes():
    made = []

    def items():
        yield from "abc"
        raise KeyError("d")

    with pytest.raises(KeyError, match="d"):
        list(in_threads(made.append, items(), threads=1, most=10))
    assert made == ["a", "b", "c"]


def test_closing_leaves_no_thread_behind():
    before = threading.active_count()
    results = in_threads(str, range(100), threads=4, most=8)
    next(results)
    assert threading.active_count() > before
    results.close()
    assert threading.active_count() == before
