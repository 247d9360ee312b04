"""Write recipes and suites that nobody would: ``python tests/torture/recipes.py --cases 5000``.

Each is read and checked as ``daf check`` does, in this process. It is sound, or refused in lines that a user can read:
no other error, no more than a minute, no more memory than a small machine has.
"""

import argparse
import copy
import inspect
import resource
import signal
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import tomli_w
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from daframework.errors import DafError
from daframework.recipes.read import offered_files, read
from daframework.recipes.tables import Recipe
from daframework.registry import KINDS, Plugins, components, load_plugins
from daframework.runs.check import check
from daframework.suites.plan import make_plan
from daframework.suites.suite import Suite, read_suite

LONGEST = 60  # seconds
MEMORY = 6 * 2**30  # bytes a case may ask for, beside what torch maps
KIND_OF = {"source": "dataset", "target": "dataset", "task": "task"} | {
    kind: kind for kind in ("generator", "discriminator")
}

_numbers = st.sampled_from(
    [0, -1, 1, 2, 3, 7, 255, 256, 10**6, 10**9, 2**31, 2**63 - 1, 2**63, 10**30, 10**400, -(10**18)]
) | st.integers(-5, 600)
_floats = st.sampled_from([0.0, -0.0, 0.5, 1.0, 1e-320, 1e308, -1e308, float("nan"), float("inf"), -float("inf")])
_words = st.sampled_from(
    [
        "", " ", ".", "..", "../../escape", "/nowhere/at/all", "~nobody-of-this-name/x", "a\0b", "a/b", "a" * 300,
        "[red]x[/red]", "[/]", "\x1b[2J\x1b[31m", "\x07\r\n", "\u202eevil", "\u2028", "é", "٣", "²", "%s{0}", "$x^2$",
        "auto", "ignore", "0", "true", "source_only", "oracle", "streets", "image_folder", "cityscapes19", "resnet18",
    ]
)  # fmt: skip
_words = _words | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_plain = (
    _numbers | _floats | st.booleans() | _words | st.just(date(2020, 2, 29)) | st.just(datetime(2020, 1, 1, tzinfo=UTC))
)
VALUES = st.recursive(
    _plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words, inner, max_size=3), max_leaves=6
)


@cache
def plugins() -> Plugins:
    return load_plugins()


@cache
def shipped(hook: str) -> tuple[str, ...]:
    """The text of every recipe or suite that comes with daframework."""
    return tuple(file.read_text(encoding="utf-8") for _, file, _ in sorted(offered_files(plugins(), hook)))


@cache
def keys() -> tuple[str, ...]:
    """Every key that some table of a recipe or suite, or some component, knows."""

    def of(table: type) -> Iterator[str]:
        for one in attrs.fields(table):
            yield one.name
            for kind in (one.type, *getattr(one.type, "__args__", ())):
                if attrs.has(kind):
                    yield from of(kind)

    options = {
        name
        for kind in KINDS
        for one in components(plugins(), kind).values()
        for name in inspect.signature(one.factory).parameters
    }
    return tuple(sorted({*of(Recipe), *of(Suite), *options}))


def places(table: Any) -> list[Any]:
    """Every table and list in a table, itself first."""
    inside = table.values() if isinstance(table, dict) else table
    return [table, *(deeper for one in inside if isinstance(one, dict | list) and one for deeper in places(one))]


@st.composite
def mutated(draw: Any, hook: str) -> str:
    """A shipped file with a few keys dropped, added, renamed, moved, doubled, or given other values."""
    tables = tomllib.loads(draw(st.sampled_from(shipped(hook))))
    for _ in range(draw(st.integers(1, 3))):
        # A place in the file, then what is done to an entry of it.
        place = draw(st.sampled_from(places(tables)))
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))) if place else None
        act = draw(st.sampled_from(["change", "add", "add own", "drop", "rename", "wrap", "copy"]))
        if key is None:
            continue
        if act == "change":
            place[key] = draw(VALUES)
        elif act == "drop":
            del place[key]
        elif act == "wrap":
            place[key] = draw(st.sampled_from([[place[key]], {"name": place[key]}, [[place[key]] * 3]]))
        elif act == "copy":
            other = draw(st.sampled_from(places(tables)))
            if isinstance(other, dict):
                other[str(key)] = copy.deepcopy(place[key])
            else:
                other.append(copy.deepcopy(place[key]))
        elif isinstance(place, dict):
            if act == "rename":
                place[draw(st.sampled_from(keys()) | _words)] = place.pop(key)
            else:
                place[draw(st.sampled_from(own_keys(place) if act == "add own" else keys()))] = draw(VALUES)
        else:
            place.insert(key, draw(VALUES))
    return tomli_w.dumps(tables)


def own_keys(table: dict[str, Any]) -> tuple[str, ...]:
    """The options of the component that a table names; all keys where it names none."""
    name = table.get("name")
    for kind in KINDS:
        known = components(plugins(), kind)
        if isinstance(name, str) and name in known:
            return tuple(inspect.signature(known[name].factory).parameters) or keys()
    return keys()


@st.composite
def noisy(draw: Any, hook: str) -> bytes:
    """A shipped file with bytes changed, cut out, put in or doubled; or nothing but noise."""
    content = bytearray(draw(st.sampled_from(shipped(hook))).encode())
    if draw(st.integers(0, 9)) == 0:
        content = bytearray(draw(st.binary(max_size=60)))
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(content)))
        last = min(len(content), first + draw(st.integers(0, 40)))
        act = draw(st.sampled_from(["flip", "cut", "put", "double", "nest"]))
        if act == "flip" and first < len(content):
            content[first] ^= 1 << draw(st.integers(0, 7))
        elif act == "cut":
            del content[first:last]
        elif act == "put":
            content[first:first] = draw(st.binary(max_size=8) | st.sampled_from([b"[[", b"= 1e999\n", b'"""', b"\0"]))
        elif act == "double":
            content[first:first] = content[first:last]
        elif act == "nest":
            content[first:first] = b"\nx = " + b"[" * draw(st.sampled_from([3, 60, 5000])) + b"\n"
    return bytes(content)


def files(hook: str) -> st.SearchStrategy[bytes]:
    """Recipes (``daf_recipes``) or suites (``daf_suites``) that may be anything."""
    return st.one_of(mutated(hook).map(str.encode), mutated(hook).map(str.encode), noisy(hook))


def check_recipe(path: Path) -> None:
    """As ``daf check`` does."""
    check(plugins(), read(path), str(path))


def check_suite(path: Path) -> None:
    """As ``daf bench --dry-run`` begins: the plan with all of its recipes, which are not built."""
    suite = read_suite(path)
    make_plan(plugins(), suite, path, path.parent / suite.name)


CHECKS: dict[str, Callable[[Path], None]] = {"daf_recipes": check_recipe, "daf_suites": check_suite}


def judge(hook: str, content: bytes, folder: Path) -> str:
    """Whether a file is sound or refused; it may be nothing else.

    Raises:
        AssertionError: it was refused without a word.
        Exception: any that no user could read.
    """
    path = folder / "written.toml"
    path.write_bytes(content)
    with limited():
        try:
            CHECKS[hook](path)
        except DafError as error:
            assert str(error).strip(), "an error without words"
            return "refused"
    return "sound"


@contextmanager
def limited() -> Iterator[None]:
    """Inside, more than `LONGEST` seconds raise TimeoutError, and more than `MEMORY` bytes MemoryError."""

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {LONGEST} s")

    before, handler = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, late)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, before[1]))
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(hook: str, cases: int, folder: Path, *, seed: int = 0) -> dict[str, int]:
    """``cases`` files, always the same for one ``seed``; how many were sound and how many refused.

    Raises:
        Exception: the first that a file should not have raised, with the smallest such file that was found.
    """
    counts = {"sound": 0, "refused": 0}

    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(files(hook))
    def each(content: bytes) -> None:
        counts[judge(hook, content, folder)] += 1
        if sum(counts.values()) % 500 == 0:
            print(f"{sum(counts.values())} files", flush=True)

    seeded(seed)(each)()
    return counts


def main() -> None:
    """Fuzz recipes, and a tenth as many suites."""
    parser = argparse.ArgumentParser(description="Fuzz recipe and suite files.")
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for hook, cases in (("daf_recipes", asked.cases), ("daf_suites", asked.cases // 10)):
            counts = fuzz(hook, cases, Path(folder), seed=asked.seed)
            print(f"{hook.removeprefix('daf_')}: {counts['sound']} sound, {counts['refused']} refused, no other error")


if __name__ == "__main__":
    main()
