"""Whether bf16 learns what float32 learns: ``python benchmarks/speed/precisions.py``.

The same recipe is run in both precisions with the same seeds. Each loss at the end of the translation (the mean of
the last lines of its log) and each row's mIoU are set side by side, as mean and standard deviation over the seeds: what
the precision changes should be within what the seed changes.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from timing import chosen_device, options, print_table, write

PRECISIONS = ("32-true", "bf16-mixed")
LAST = 5  # lines of the log, 25 steps apart


def run(recipe: str, precision: str, seed: int, settings: list[str], out: Path) -> dict[str, float]:
    """Run ``recipe`` in ``out``, and return its last losses and its scores in percent."""
    command = [sys.executable, "-m", "daframework", "run", recipe, "--seed", str(seed), "--out", str(out)]
    for setting in (f"hardware.precision={precision}", *settings):
        command += ["--set", setting]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    ends = [line for line in lines if line["stage"] == "translation"][-LAST:]
    found = {name: mean(line[name] for line in ends) for name in ends[0] if name not in ("stage", "step")}
    rows = json.loads((out / "results.json").read_text(encoding="utf-8"))["rows"]
    return found | {f"mIoU, {row['method']}": 100 * row["mIoU"] for row in rows}


def compare(found: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """Each value's mean and standard deviation in both precisions, and whether each mean lies in the other's spread."""
    compared = []
    for name in found[PRECISIONS[0]][0]:
        entry: dict[str, Any] = {"value": name}
        for precision in PRECISIONS:
            values = [one[name] for one in found[precision]]
            entry[precision] = {"values": values, "mean": mean(values), "deviation": stdev(values)}
        one, other = (entry[precision] for precision in PRECISIONS)
        entry["within"] = abs(one["mean"] - other["mean"]) <= min(one["deviation"], other["deviation"])
        compared.append(entry)
    return compared


def main() -> None:
    """Run, write JSON if asked, print the table."""
    parser = options("Whether bf16 learns what float32 learns.")
    parser.add_argument("--recipe", default="semantic_cyclegan", help="which recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="two or more")
    parser.add_argument("--steps", type=int, default=300, help="of the translation and of the task model")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE, another setting of the recipe")
    asked = parser.parse_args()
    device = chosen_device(asked.device)
    settings = [f"translation.steps={asked.steps}", f"downstream.steps={asked.steps}", *asked.set]
    settings.append(f"hardware.accelerator={device.type}")
    found: dict[str, list[dict[str, float]]] = {precision: [] for precision in PRECISIONS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in asked.seeds:
            for precision in PRECISIONS:
                out = Path(folder) / f"{precision}_{seed}"
                found[precision].append(run(asked.recipe, precision, seed, settings, out))
                print(f"ran seed {seed} in {precision}", file=sys.stderr, flush=True)
    compared = compare(found)
    write({"recipe": asked.recipe, "steps": asked.steps, "seeds": asked.seeds, "values": compared}, device, asked.out)
    rows = [
        [
            entry["value"],
            *(f"{entry[one]['mean']:.4g} ± {entry[one]['deviation']:.2g}" for one in PRECISIONS),
            "yes" if entry["within"] else "no",
        ]
        for entry in compared
    ]
    print_table([f"{asked.recipe}, {asked.steps} steps, seeds {asked.seeds}", *PRECISIONS, "within spread"], rows)


if __name__ == "__main__":
    main()
