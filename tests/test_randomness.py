import torch

from daframework.compute.randomness import derive, generator, global_seed


def test_streams_of_other_names_or_seeds_are_unrelated():
    names = [(seed, *rest) for seed in range(5) for rest in ((), ("a",), ("b",), ("a", 0), ("a", 1), ("a/0",), (0,))]
    seeds = {derive(*name) for name in names}
    # ("a", 0) and ("a/0",) are one name; everything else is a name of its own.
    assert len(seeds) == len(names) - 5 and all(0 <= seed < 2**63 for seed in seeds)
    draws = {float(torch.rand((), generator=generator(*name))) for name in names}
    assert len(draws) == len(seeds)


def test_a_stream_is_the_same_in_every_process():
    assert derive(3, "order", 7) == 7353139687491058433


def test_the_global_state_is_borrowed_and_given_back():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    first = torch.rand(1)
    with global_seed(0, "weights"):
        inside = torch.rand(3)
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)
    with global_seed(0, "weights"):
        assert torch.equal(torch.rand(3), inside)


def test_the_global_state_is_given_back_after_an_error():
    before = torch.get_rng_state()
    try:
        with global_seed(0, "weights"):
            torch.rand(3)
            raise ValueError
    except ValueError:
        pass
    assert torch.equal(torch.get_rng_state(), before)
