"""What lies in a suite's folder beside its runs. Here, since who only looks for benches should not wait for torch."""

import json
from pathlib import Path
from typing import Any

from daframework.storage.lock import LOCK

TABLE, LOGS = "table.json", "logs"
RUNS = "*/*/seed*/recipe.toml"


def is_bench(folder: Path) -> bool:
    """Whether a suite was begun in ``folder``."""
    begun = (folder / LOGS).is_dir() and ((folder / LOCK).exists() or any(folder.glob(RUNS)))
    return begun or (folder / TABLE).is_file()


def bench_tables(folder: Path) -> list[dict[str, Any]]:
    """The tables of a bench, as docs/bench.md says of table.json."""
    found: list[dict[str, Any]] = json.loads((folder / TABLE).read_text(encoding="utf-8"))["tables"]
    return found
