"""How soon a command starts: ``python benchmarks/speed/start.py``.

Whole processes, as a user starts them, each once a round: Python alone, ``import daframework``, ``daf --help`` and
``daf check`` of every recipe that plugins offer. A recipe whose data is not here is checked with a warning. Then, of
one check, the seconds that each package's own modules take to import, as ``python -X importtime`` counts them. None of
it computes on a GPU: ``--device`` only says which one the JSON names.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from timing import alternate, chosen_device, median, options, print_table, run, write

from daframework.recipes.read import offered_files
from daframework.registry import load_plugins

HELP_BAR, CHECK_BAR = 0.25, 3.0  # seconds
DAF = ("-m", "daframework")
SHOWN = 12  # packages in the table of imports; the rest are added up


def start(*arguments: str) -> str:
    """Run Python with ``arguments`` to its end; what it said on stderr."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"python {' '.join(arguments)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stderr


def import_seconds(*arguments: str) -> dict[str, float]:
    """Seconds that each package's own modules took to import in a run of Python with ``arguments``, longest first.

    What a module imports counts for its own package, so that they add up to the whole.
    """
    spent: Counter[str] = Counter()
    for line in start("-X", "importtime", *arguments).splitlines():
        # "import time:   self [us] | cumulative | imported package"; a module is indented under what imports it.
        parts = line.removeprefix("import time:").split("|")
        if line.startswith("import time:") and parts[0].strip().isdecimal():
            spent[parts[2].strip().partition(".")[0]] += int(parts[0]) / 1e6
    return dict(spent.most_common())


def measure(recipes: list[str], rounds: int) -> dict[str, Any]:
    """Time every command ``rounds`` times, in turn; and what importing takes in the first of ``recipes``."""
    bars: dict[str, float | None] = {"python -c pass": None, "import daframework": None, "daf --help": HELP_BAR}
    commands: dict[str, Callable[[], object]] = {
        "python -c pass": partial(start, "-c", "pass"),
        "import daframework": partial(start, "-c", "import daframework"),
        "daf --help": partial(start, *DAF, "--help"),
    }
    for name in recipes:
        bars[f"daf check {name}"] = CHECK_BAR
        commands[f"daf check {name}"] = partial(start, *DAF, "check", name)
    spent = alternate(commands, rounds=rounds, device=torch.device("cpu"))
    found = {
        name: {"median": median(seconds), "worst": max(seconds), "bar": bars[name], "seconds": seconds}
        for name, seconds in spent.items()
    }
    return {"rounds": rounds, "commands": found, "imports": import_seconds(*DAF, "check", recipes[0])}


def print_found(found: dict[str, Any]) -> None:
    """The table of imports, and last that of the commands."""
    imports, first = found["imports"], next(name for name in found["commands"] if name.startswith("daf check"))
    total, shown = sum(imports.values()), dict(list(imports.items())[:SHOWN])
    shown["all others"] = total - sum(shown.values())
    print(f"\nimports of {first}: {total:.2f} s under -X importtime, which slows them, by whose modules they are")
    print_table(
        ("package", "s", "share"),
        [(name, f"{seconds:.2f}", f"{seconds / total:.0%}") for name, seconds in shown.items()],
    )
    print(f"\nwhole processes, median and worst of {found['rounds']} rounds; the median is held against the bar")
    rows = []
    for name, one in found["commands"].items():
        bar = one["bar"]
        held = ("", "") if bar is None else (f"<= {bar:.2f}", "held" if one["median"] <= bar else "MISSED")
        rows.append((name, f"{one['median']:.3f}", f"{one['worst']:.3f}", *held))
    print_table(("command", "median s", "worst s", "bar s", ""), rows)


def main() -> None:
    """Measure, write JSON if asked, print the tables."""
    parser = options("How soon daf starts.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each command is timed")
    parser.add_argument("--recipes", nargs="+", help="recipes to check; all that plugins offer without it")
    asked = parser.parse_args()
    recipes = asked.recipes or [name for name, _, _ in offered_files(load_plugins())]
    found = measure(recipes, asked.rounds)
    write(found, chosen_device(asked.device), asked.out)
    print_found(found)


if __name__ == "__main__":
    run(main)
