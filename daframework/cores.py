"""How many cores this process is given, and how the threads of OpenMP wait: decided before torch is loaded.

A thread that waits in OpenMP spins for milliseconds. Where other work shares the cores, the thread it waits for is not
running meanwhile, and a small step takes several times as long. Nothing here imports torch.
"""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/")
THREADS = "OMP_NUM_THREADS"
WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
"""How long a thread spins before it sleeps: in libgomp, which torch's wheels for Linux bring, some 50 microseconds,
about what lies between two operations of a small network; in Intel's and LLVM's OpenMP not at all."""
_SPIN = ("OMP_WAIT_POLICY", *WAITING)

_USER = "set by the user"

Chosen = dict[str, dict[str, str | None]]
chosen: Chosen = {}
"""What `share_cores` found for this process: ``value``, None where none is set, and ``why``, by variable."""


def asked_threads() -> int | None:
    """Threads that the user set for this process, None where nobody did."""
    asked = chosen.get(THREADS, {})
    return int(asked["value"] or 0) or None if asked.get("why") == _USER and str(asked["value"]).isdigit() else None


def given_cores(environment: Mapping[str, str] = os.environ, root: Path = _ROOT) -> int:
    """Cores that this process may use, 1 or more: the fewest of its affinity, its cgroups' quotas and Slurm's word.

    Half a core over is not counted, as a thread that computes on it would hold up the others. ``root`` is the folder
    of ``proc`` and ``sys``.
    """
    return max(1, int(min(affinity_cores(), *core_limits(environment, root).values())))


def share_cores(environment: MutableMapping[str, str] = os.environ, root: Path = _ROOT) -> Chosen:
    """Set, for libraries that are loaded later, how many threads compute and how they wait; what is set stays.

    Returns the ``value`` of each variable, None where none is set, and ``why``.

    The number of threads is set only where fewer cores are given than the affinity shows, which torch goes by itself.
    """
    limits, cores = core_limits(environment, root), given_cores(environment, root)
    why = {name: _USER for name in (THREADS, *_SPIN) if name in environment}
    if THREADS not in why and cores < affinity_cores():
        environment[THREADS] = str(cores)
        why[THREADS] = f"{min(limits, key=lambda name: limits[name])} leaves so many of {affinity_cores()} cores"
    if not why.keys() & set(_SPIN):
        environment.update(WAITING)
        why |= dict.fromkeys(WAITING, "threads that wait leave their cores to others")
    why.setdefault(THREADS, "torch goes by the cores that this process may use")
    return {name: {"value": environment.get(name), "why": reason} for name, reason in why.items()}


def affinity_cores() -> int:
    """Cores that the system lets this process run on, 1 or more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def core_limits(environment: Mapping[str, str] = os.environ, root: Path = _ROOT) -> dict[str, float]:
    """Cores by what limits them to so many; infinity where nothing does."""
    limits = {"a cgroup's quota": min(_quotas(root), default=float("inf"))}
    with suppress(KeyError, ValueError):
        limits["SLURM_CPUS_PER_TASK"] = int(environment["SLURM_CPUS_PER_TASK"])
    return limits


def _quotas(root: Path) -> Iterator[float]:
    """Quotas in cores of this process's cgroups and of those around them, of version 1 and 2."""
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            mounted = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
            # A container may see its group's name on the host and have its files at the top: the folders on the way
            # that do not exist are passed over.
            own = mounted / group.lstrip("/")
            for folder in (own, *own.parents):
                yield from _quota(folder)
                if folder == mounted:
                    break


def _quota(folder: Path) -> Iterator[float]:
    """The quota that a cgroup's ``folder`` holds, if it does: "max", and -1 in version 1, are none."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            files = (folder / f"cpu.cfs_{name}_us" for name in ("quota", "period"))
            quota, period = (file.read_text(encoding="utf-8") for file in files)
        if int(quota) > 0:
            yield int(quota) / int(period)
