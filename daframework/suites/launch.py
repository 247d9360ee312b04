"""Start the process of one run, on this machine or on a node of a cluster.

Sent to nodes by value, so nothing but the standard library is imported: a node that lacks daframework can say so.
"""

import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.2
_TAIL_BYTES = 4096


def launch(
    name: str,
    recipe: Path,
    folder: Path,
    log: Path,
    environment: Mapping[str, str],
    *,
    node: str = "",
    working: Path | None = None,
) -> "subprocess.Popen[bytes]":
    """Begin the run ``name`` of ``recipe`` in ``folder``; what it prints is added to ``log``, after a line of its own.

    Relative paths start from ``working``, or from where this process is.

    Raises:
        OSError: it cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # What an earlier attempt said last must not be taken for the reason why this one failed.
        began, where = datetime.now(UTC).isoformat(timespec="seconds"), f", on {node}" if node else ""
        output.write(f"daf: {name} begins, {began}{where}\n".encode())
        output.flush()
        arguments = ["run", str(recipe), "--out", str(folder)]
        return start(arguments, {**environment, "PYTHONUNBUFFERED": "1"}, output, working)


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: "IO[bytes] | None" = None,
    working: Path | None = None,
) -> "subprocess.Popen[bytes]":
    """Begin ``daf`` with ``arguments``, in a process that ends when this one does.

    Raises:
        OSError: it cannot be started.
    """
    # -P: a file called like a module in the working directory must not be imported in its place.
    command = [sys.executable, "-P", "-m", "daframework", *arguments, "--until-stdin-closes"]
    # A group of its own: Ctrl-C in a terminal reaches this process alone, which passes it on once. The pipe is never
    # written to: it closes when this process ends, however it ends, and the other ends with it.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment, cwd=working, process_group=0
    )


def last_line(path: Path) -> str:
    """The last line of a text file that is not empty; an empty one where there is none."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "")
    return ""


def run_on_node(
    *, name: str, recipe: Path, content: bytes, folder: Path, log: Path, working: Path, version: str, threads: int
) -> tuple[int, str]:
    """Carry out a run on this node of a cluster; its exit code, and the last line that it printed.

    ``content`` is the recipe's, ``working`` the folder that relative paths start from, ``version`` daframework's where
    it was started. What is wrong with the node comes back as if the run had said it. Interrupted, the run
    saves and ends first.

    Raises:
        OSError: it cannot be started.
    """
    if not callable(signal.getsignal(signal.SIGINT)):
        # A Ray that a script started in the background ignores SIGINT, and interrupting its tasks would do nothing.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    node = socket.gethostname()
    problem = _problem(node, recipe, content, working, version)
    if problem is not None:
        return 1, f"error: {problem}"
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    process = launch(name, recipe, folder, log, environment, node=node, working=working)
    try:
        # An interrupt comes when Python next runs a line, so never wait for long.
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_POLL_SECONDS), last_line(log)
    finally:
        # Not SIGINT, which is blocked in whatever Ray starts.
        process.terminate()
        while process.poll() is None:
            with suppress(KeyboardInterrupt):
                process.wait()


def _problem(node: str, recipe: Path, content: bytes, working: Path, version: str) -> str | None:
    """Why no run can be carried out on this node; None where one can."""
    try:
        found = importlib.metadata.version("daframework")
    except importlib.metadata.PackageNotFoundError:
        return f"node {node} has no daframework ({sys.executable}); install version {version} there"
    if found != version:
        return f"node {node} has daframework {found}, and it was started by {version}; install one on all nodes"
    seen = None
    with suppress(OSError):
        seen = recipe.read_bytes()
    if seen != content:
        return f"{recipe.parent} is not a folder that all nodes share: node {node} does not see its {recipe.name}"
    if not working.is_dir():
        return f"node {node} has no folder {working}; start it in a folder that all nodes share"
    return None
