"""Start a run's processes on one machine, one a device, and end when they have.

torchrun and Lightning Fabric do so too: torchrun ends with its own exit code and a traceback whatever its processes end
with, and neither passes on the signals that ask a run to save. The exit codes of ``daf run`` are promises.
"""

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from types import FrameType

from daframework.cli.interrupt import handled
from daframework.compute.place import Place, variables
from daframework.errors import RunError
from daframework.suites.launch import start

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 10  # for the others to end by themselves, once one has ended badly


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run ``daf`` with ``arguments`` as ``processes`` processes that compute together; return the exit code.

    Signals are passed on to each. When one ends badly the others are ended; all end with this one, however it ends.

    Raises:
        RunError: they cannot be started.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    with handled(pass_on):
        try:
            for rank in range(processes):
                place = Place(rank, processes, rank, processes, port=port)
                children.append(start(arguments, os.environ | variables(place)))
            return _wait(children)
        except OSError as error:
            raise RunError(f"process {len(children)} of {processes} cannot be started: {error}") from error
        finally:
            for child in children:
                child.kill()
                child.wait()


def _wait(children: Sequence["subprocess.Popen[bytes]"]) -> int:
    """The first bad exit code, or 0. Once there is one, the rest have a little while to end."""
    bad, until = 0, float("inf")
    while True:
        codes = [child.poll() for child in children]
        if not bad and (bad := next(filter(None, codes), 0)):
            until = time.monotonic() + _GRACE_SECONDS
        if None not in codes or time.monotonic() > until:
            return bad if bad >= 0 else 128 - bad  # of a process that a signal ended: what a shell would give
        time.sleep(_POLL_SECONDS)
