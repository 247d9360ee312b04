"""What a machine and an installation offer, and what stands in the way; nothing is changed, and torch may be broken."""

import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.metadata import metadata, version
from itertools import chain
from pathlib import Path
from typing import Any

from attrs import frozen

from daframework.cores import THREADS, affinity_cores, chosen, core_limits, given_cores
from daframework.errors import one_line
from daframework.extras import requirements, state
from daframework.registry import BLOCK, KINDS, clashes, components, load_plugins

OK, NOTE, PROBLEM = "ok", "note", "problem"
_MIB, _GIB = 2**20, 2**30
_BATCH = (8, 512, 1024)
"""Images, height and width of the batch that the need of shared memory is told for."""
_SHARED = 2 * 2 * 4 * _BATCH[0] * _BATCH[1] * _BATCH[2]
"""Bytes a worker: it has two such batches ready for each of two domains, of four bytes a pixel."""
_LITTLE, _SCARCE = 10 * _GIB, _GIB


@frozen
class Finding:
    """One thing that was looked at: `OK`, a `NOTE` or a `PROBLEM`, what was found, and what to do about it."""

    what: str
    state: str
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """All findings, in the order in which they bear on one another; what cannot be looked at is a problem itself."""
    torch, broken = _import_torch()
    looks: list[Callable[[], Iterable[Finding]]] = [_cores, _compiler, _packages, _extras, _plugins, _disk, _memory]
    if torch is not None:
        looks[:0] = [lambda: _gpus(torch), _cpu_bf16, lambda: _threads(torch)]
    found = [broken]
    for look in looks:
        try:
            found += look()
        except Exception as error:  # whatever a damaged installation raises
            found.append(Finding("doctor", PROBLEM, f"a part cannot be looked at: {one_line(error, kind=True)[:300]}"))
    return found


def _import_torch() -> tuple[Any, Finding]:
    try:
        import torch

        return torch, Finding("torch", OK, f"{torch.__version__}, made for CUDA {torch.version.cuda or 'no version'}")
    except (Exception, SystemExit) as error:  # a library that is not there, or one of another version
        remedy = "reinstall it: pip install --force-reinstall torch"
        return None, Finding("torch", PROBLEM, f"cannot be imported: {one_line(error, kind=True)[:300]}", remedy)


def _gpus(torch: Any) -> Iterator[Finding]:
    driver = _driver()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    if not there and driver is None:
        yield Finding("GPU", NOTE, "none, so networks compute on the CPU", "take small networks, or a machine with one")
    elif not there:
        why = " ".join(str(told[0].message).split()) if told else f"torch was made for CUDA {torch.version.cuda}"
        remedy = "install torch for this driver: pytorch.org says how"
        yield Finding("GPU", PROBLEM, f"driver {driver} is there, and torch cannot use it: {why}", remedy)
    for number in range(torch.cuda.device_count() if there else 0):
        card = torch.cuda.get_device_properties(number)
        yield Finding("GPU", OK, f"{card.name}, {card.total_memory / _GIB:.0f} GiB, driver {driver or 'unknown'}")
    if there:
        yield _bf16("GPU", torch.cuda.is_bf16_supported(including_emulation=False))


def _driver() -> str | None:
    """The version of NVIDIA's driver, where one is loaded."""
    with suppress(OSError):
        found = re.search(r"\s(\d+\.\d+(\.\d+)?)\s", Path("/proc/driver/nvidia/version").read_text(encoding="utf-8"))
        return found[1] if found else "unknown"
    return None


def _cpu_bf16() -> Iterator[Finding]:
    from daframework.compute.acceleration import cpu_has_bf16

    yield _bf16("CPU", cpu_has_bf16(), " (no AVX512-BF16, no AMX)")


def _bf16(device: str, there: bool, lacking: str = "") -> Finding:
    what = f"bf16 on the {device}"
    if there:
        return Finding(what, OK, "in hardware")
    return Finding(what, NOTE, f"not in hardware{lacking}", 'hardware.precision = "auto" computes in float32')


def _threads(torch: Any) -> Iterator[Finding]:
    threads, cores = torch.get_num_threads(), given_cores()
    said = ", ".join(f"{name}={one['value'] or 'unset'} ({one['why']})" for name, one in sorted(chosen.items()))
    if threads > cores:
        yield Finding("threads", PROBLEM, f"{threads} of torch on {cores} cores: {said}", f"set {THREADS}={cores}")
    else:
        yield Finding("threads", OK, f"{threads} of torch: {said}")


def _cores() -> Iterator[Finding]:
    cores, affinity = given_cores(), affinity_cores()
    limits = [f"{name} {limit:g}" for name, limit in core_limits().items() if limit < float("inf")]
    said = f"{cores} given of {os.cpu_count()}: affinity {affinity}{''.join(f', {one}' for one in limits)}"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 1.5 * (os.cpu_count() or 1):
        remedy = "other work shares them and a step may take several times as long"
        remedy += "" if "1" in (os.environ.get(THREADS), str(cores)) else f"; try {THREADS}=1"
        yield Finding("cores", NOTE, f"{said}; load average {load:.1f}", remedy)
    else:
        yield Finding("cores", OK, said)


def _compiler() -> Iterator[Finding]:
    asked = os.environ.get("CXX")
    path = next(filter(None, map(shutil.which, [asked] if asked else ["g++", "clang++", "c++"])), None)
    if path is None:
        found = f"CXX={asked} is not there" if asked else "none"
        remedy = "unset it, or set it to one that is" if asked else "install g++, or set CXX"
        yield Finding("C++ compiler", NOTE, f"{found}, so nothing is compiled by torch.compile", remedy)
    else:
        yield Finding("C++ compiler", OK, path)


def _packages() -> Iterator[Finding]:
    states = [(one, *state(one)) for one in requirements()]
    fitting = [said for _, fits, said in states if fits]
    yield Finding("packages", OK, ", ".join([f"daframework {version('daframework')}", *fitting]))
    for one, fits, said in states:
        if not fits:
            yield Finding("packages", PROBLEM, said, f'pip install "{one.name}{one.specifier}"')


def _extras() -> Iterator[Finding]:
    for extra in metadata("daframework").get_all("Provides-Extra") or []:
        if extra == "test":
            continue
        states = [state(one) for one in requirements(extra=extra)]
        room, remedy = OK, ""
        if not all(fits for fits, _ in states):
            room, remedy = NOTE, f'for what needs it: pip install "daframework[{extra}]"'
        yield Finding(f"extra {extra}", room, ", ".join(text for _, text in states), remedy)


def _plugins() -> Iterator[Finding]:
    told: list[str] = []
    plugins = load_plugins(warn=told.append)
    for kind in KINDS:
        components(plugins, kind)
    yield Finding("plugins", OK, ", ".join(sorted(map(str, plugins.origins.values()))))
    for line in plugins.broken:
        yield Finding("plugins", PROBLEM, line, "repair or uninstall it")
    for line in chain.from_iterable(clashes(plugins, kind) for kind in KINDS):
        yield Finding("plugins", PROBLEM, line)
    for line in told:
        if line not in plugins.broken:
            yield Finding("plugins", NOTE, line)
    for origin in plugins.blocked:
        yield Finding("plugins", NOTE, f"plugin {origin} is blocked by {BLOCK}")


def _disk() -> Iterator[Finding]:
    runs = Path("runs").absolute()
    there = next(folder for folder in (runs, *runs.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        remedy = "go to a folder that is yours, or give one with --out"
        yield Finding("runs folder", PROBLEM, f"{runs}: nothing can be written in {there}", remedy)
    free = shutil.disk_usage(there).free
    room = PROBLEM if free < _SCARCE else NOTE if free < _LITTLE else OK
    remedy = "" if room == OK else "a run keeps checkpoints and images; make room"
    yield Finding("runs folder", room, f"{runs}: {free / _GIB:.1f} GiB free", remedy)
    data = os.environ.get("DAF_DATA")
    if not data:
        remedy = "set it to the folder that holds camvid/ and the like, or write each root"
        yield Finding("DAF_DATA", NOTE, "not set, so datasets of files are found by their root only", remedy)
    elif not Path(data).expanduser().is_dir():
        yield Finding("DAF_DATA", PROBLEM, f"{data} is no folder", "set it to the folder that holds the datasets")
    else:
        yield Finding("DAF_DATA", OK, data)


def _memory() -> Iterator[Finding]:
    shared = Path("/dev/shm")
    if not shared.is_dir():
        return
    free, count = shutil.disk_usage(shared).free, given_cores()
    batch = f"{_BATCH[0]} images of {_BATCH[1]} x {_BATCH[2]}"
    said = f"{free / _MIB:,.0f} MiB free in {shared}, room for {free // _SHARED} workers with batches of {batch}"
    if free < count * _SHARED:
        need = count * _SHARED // _MIB
        remedy = f"lower hardware.workers, or make it {need:,} MiB for one a core: docker run --shm-size={need}m"
        yield Finding("shared memory", NOTE, said, remedy)
    else:
        yield Finding("shared memory", OK, said)
