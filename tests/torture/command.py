"""Give a command as a user would, in a fork of this process or in one of its own, and wait no longer than a minute."""

import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a process that has begun threads cannot be forked

import attrs

from daframework.cli import main as daf

LONGEST = 60  # seconds
for _name in ("bench", "check", "predict", "report", "run", "translate", "data.check"):
    import_module(f"daframework.cli.{_name}")
for _name in ("daframework.runs.stages", "daframework.report.figures", "matplotlib.backends.backend_svg"):
    import_module(_name)  # what no fork needs to import again


@attrs.frozen
class Ended:
    """How a command ended: its exit code, or None where it had to be killed; and what it said."""

    code: int | None
    out: str
    errors: str


def run_daf(work: Path, arguments: Sequence[str]) -> Ended:
    """``daf`` with these arguments in a fork of this process, which has imported everything, in the folder ``work``."""
    out, errors = work.parent / "out.txt", work.parent / "errors.txt"
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(work)
        for path, descriptor in ((out, 1), (errors, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", closefd=False) for descriptor in (1, 2))
        sys.argv = ["daf", *arguments]
        code = 70
        try:
            daf()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    pidfd = os.pidfd_open(child)
    in_time = select.select([pidfd], [], [], LONGEST)[0]
    os.close(pidfd)
    if not in_time:
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status) if in_time else None
    return Ended(code, out.read_text(errors="replace"), errors.read_text(errors="replace"))


def in_fork(do: Callable[[], None]) -> None:
    """Do it in a fork of this process, which begins no threads for it.

    Raises:
        SystemExit: it failed.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            do()
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("what the damage is done to could not be made")


def run_process(work: Path, arguments: Sequence[str]) -> Ended:
    """The same by a process of its own."""
    command = [sys.executable, "-m", "daframework", *arguments]
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, errors="replace", timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return Ended(None, "", "")
    return Ended(done.returncode, done.stdout, done.stderr)
