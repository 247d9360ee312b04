"""Where a run took place: versions, commit and machine."""

import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import daframework
from daframework.cores import chosen, given_cores

_PACKAGES = ("daframework", "torch", "kornia", "lightning-fabric", "segmentation-models-pytorch", "timm")


def describe(device: torch.device) -> dict[str, Any]:
    """Versions of what computes, daframework's commit where it is a checkout, the machine, and the time now (UTC).

    ``threads`` are those that torch computes with on the CPU: sums come out in another order with another number.
    ``cores`` are those that this process is given, ``openmp`` is what was chosen for its threads, and why.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processor": _processor(),
        "cores": given_cores(),
        "threads": torch.get_num_threads(),
        "openmp": dict(chosen),
    }


def software() -> dict[str, str | None]:
    """The ``version`` of daframework that runs, and its ``commit`` where it is a checkout."""
    return {"version": _version("daframework"), "commit": _commit()}


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):  # a run may need none of it
        return version(package)
    return None


@cache
def _commit() -> str | None:
    """The commit of the checkout that daframework is imported from; ``-dirty`` where files were changed since."""
    root = Path(daframework.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    with suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    return None


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
