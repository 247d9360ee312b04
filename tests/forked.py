"""Processes of daf that need not import torch: that takes them longer than all the rest of most tests.

Each is a fork of one that has imported what all need and done nothing else, and is otherwise a process as any: of a
group, an environment and a folder of its own. Where the start is the subject, a test starts Python.
"""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing import forkserver, process
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *(f"daframework.{name}" for name in ("cli.run", "cli.bench", "runs.begin", "suites.bench")),
        *("torch._dynamo", "segmentation_models_pytorch", "timm"),
    ]
)
# Threads cannot be forked, and what torch says of weights that are not used is switched off before it is imported.
_IMPORTS_WITH = {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
_PR_SET_PDEATHSIG = 1  # of Linux: the signal that a process gets when its parent has ended


class Forked:
    """Python ``code``, or a command of daf, that was begun; it is used as a `subprocess.Popen` with pipes of text."""

    def __init__(self, arguments=(), *, code="from daframework.cli import main; main()", **environment):
        self._said = tempfile.TemporaryDirectory()
        self._out, self._errors = (Path(self._said.name) / name for name in ("out", "errors"))
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment
        given = (code, [*map(str, arguments)], environment, Path.cwd(), self._out, self._errors)
        before = {name: os.environ.get(name) for name in _IMPORTS_WITH}
        os.environ.update(_IMPORTS_WITH)
        forkserver.ensure_running()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        self._process = _CONTEXT.Process(target=_be, args=given)
        self._process.start()
        process._children.discard(self._process)  # or a command in this process would end it with its own workers
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("daf", timeout)
        return self.returncode

    def communicate(self, timeout=None):
        self.wait(timeout)
        return self._out.read_text(), self._errors.read_text()

    def wait_until(self, holds):
        """Return once ``holds()``, which the process must live to see."""
        while not holds():
            with suppress(subprocess.TimeoutExpired):
                self.wait(0.02)
                assert holds(), self.communicate()

    def complains(self, text):
        """Whether ``text`` was said on standard error."""
        return self._errors.exists() and text in self._errors.read_text()

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self._process.kill()


def _be(code, arguments, environment, folder, out, errors):
    """What a fork does."""
    multiprocessing.set_start_method(None, force=True)  # its own processes are started as any's
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # or it outlives tests that are killed
    os.setsid()
    os.chdir(folder)
    for path, descriptor in ((out, 1), (errors, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", 1, closefd=False) for descriptor in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["daf", *arguments]
    exec(code, {"__name__": "__main__"})
