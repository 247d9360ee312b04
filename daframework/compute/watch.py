"""The end of one of a run's processes ends all of them, with its reason, instead of leaving them to wait for it.

Every rank holds a connection to the first. A process that dies, however it dies, closes it; a machine that goes dark is
noticed within 20 seconds. What a collective operation waits for then would never come, so those that are left end at
once, whatever they are doing: nothing that they write is ever half there.

Neither torchrun nor a backend does this: torchrun's agents end a job when a process exits, of one job on one scheduler,
and know no reason; Gloo and NCCL wait for minutes; srun starts ranks with no agent at all. Here all end within 30
seconds, however they were started, with one line that says why and the exit code of what happened.
"""

import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

import torch
import torch.distributed as dist

from daframework.compute.environment import software
from daframework.compute.place import Place
from daframework.compute.ranks import from_first
from daframework.compute.signals import Signals
from daframework.errors import DafError, RunError, StoppedError, one_line, visible
from daframework.recipes.read import dump
from daframework.recipes.tables import Recipe

_MEETING_SECONDS = 300  # for all to connect, once all are there
_LEAVING_SECONDS = 10  # for a process that failed to end, which a library that waits for the others may prevent
_REASON_SECONDS = 3  # for the reason to arrive why the others can no longer be reached
_POLL_SECONDS = 0.2
_SHOW_CURSOR = "\x1b[?25h"
# Seconds of silence before a connection is probed, seconds between two probes, and how many may go unanswered.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


@contextmanager
def watch(place: Place, asked: Signals) -> Iterator[None]:
    """Inside, all processes of a run of several end when one does, and all are asked to stop when one is.

    Raises:
        RunError: the processes do not find one another.
    """
    watcher = _Watcher(place, asked, _meet(place))
    watcher.start()
    try:
        yield
    except StoppedError:  # as all are, at the same step: none need be ended
        _wait_for_signal(asked)
        _leave(watcher, {"bye": True, "stop": asked.signal}, asked.exit_code)
        dist.destroy_process_group()
        raise
    except BaseException as error:
        if not isinstance(error, DafError | KeyboardInterrupt):
            # Perhaps only because another process died: then the watcher ends this one, and says so.
            watcher.join(_REASON_SECONDS)
        code = asked.exit_code if isinstance(error, KeyboardInterrupt) else 1
        _leave(watcher, {"end": code, "why": one_line(error)}, code)
        raise
    # Left open, its threads may abort a process that ends while another still has to.
    dist.barrier()
    dist.destroy_process_group()
    watcher.leave({"bye": True})


def _leave(watcher: "_Watcher", message: dict[str, Any], code: int) -> None:
    watcher.leave(message)
    leaving = threading.Timer(_LEAVING_SECONDS, os._exit, [code])
    leaving.daemon = True  # it is for a process that has not ended by then
    leaving.start()


def require_same(recipe: Recipe) -> None:
    """All ranks must do the same, or they would wait for one another in different places.

    Raises:
        RunError: this one has another recipe than the first, or other software.
    """
    mine = {"recipe": dump(recipe), "torch": str(torch.__version__)} | software()
    first = from_first(lambda: mine)
    for what, value in mine.items():
        if value != first[what]:
            shown = "" if what == "recipe" else f" ({value}, the first has {first[what]})"
            raise RunError(f"this process has another {what} than the first{shown}; all must have the same")


def _meet(place: Place) -> dict[Connection, int]:
    """Connections and the ranks they lead to: the first has one to every other, the others have one to the first."""
    server = socket.create_server(("", 0), backlog=place.ranks) if place.rank == 0 else None
    port, token = from_first(lambda: (server.getsockname()[1] if server else 0, secrets.token_hex(16)))
    try:
        if server is None:
            connection = socket.create_connection((place.address, port), timeout=_MEETING_SECONDS)
            connection.sendall(f"{token}{place.rank:08}".encode())
            return {_kept_alive(connection): 0}
        with server:
            return _accept_all(server, token, place.ranks)
    except OSError as error:
        both = f"process {place.rank} of {place.ranks} and the first, at {place.address}, port {port},"
        raise RunError(f"{both} do not reach one another ({error}); let their machines connect") from error


def _accept_all(server: socket.socket, token: str, ranks: int) -> dict[Connection, int]:
    found: dict[Connection, int] = {}
    until = time.monotonic() + _MEETING_SECONDS
    while len(found) < ranks - 1:
        server.settimeout(max(0.01, until - time.monotonic()))
        connection, _ = server.accept()
        connection.settimeout(_REASON_SECONDS)
        with suppress(OSError, ValueError):  # a stranger who scans ports, and may say nothing or half of it
            told = connection.recv(len(token) + 8).decode()
            if told.startswith(token):
                found[_kept_alive(connection)] = int(told.removeprefix(token))
    return found


def _kept_alive(connection: socket.socket) -> Connection:
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):  # not everywhere
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return Connection(connection.detach())


class _Watcher(threading.Thread):
    """Listens to the other processes; ends this one when one of them has ended too soon."""

    def __init__(self, place: Place, asked: Signals, connections: dict[Connection, int]) -> None:
        super().__init__(daemon=True)
        self._place, self._asked = place, asked
        self._connections = connections
        self._told: int | None = None
        self._left = threading.Event()

    def run(self) -> None:
        while self._connections and not self._left.is_set():
            for connection in wait(list(self._connections), _POLL_SECONDS):
                if isinstance(connection, Connection) and self._hear(connection):
                    del self._connections[connection]
            if self._asked.signal != self._told:
                self._told = self._asked.signal
                self._tell({"stop": self._told})

    def leave(self, message: dict[str, Any]) -> None:
        """Tell the others that, and how, this process ends; and listen no longer."""
        self._left.set()
        self.join()
        self._tell(message)

    def _tell(self, message: dict[str, Any], *, besides: int | None = None) -> None:
        for connection, rank in self._connections.items():
            if rank != besides:
                with suppress(OSError):  # whoever is gone is noticed when reading
                    connection.send_bytes(json.dumps(message).encode())

    def _hear(self, connection: Connection) -> bool:
        """Read what another process says; whether it has said good-bye."""
        rank = self._connections[connection]
        try:
            message = json.loads(connection.recv_bytes())
        except (OSError, EOFError):
            self._lost(rank)
        if message.get("stop"):
            self._asked.stop(message["stop"])
        if "end" in message:
            self._tell(message, besides=rank)
            stopped = message["end"] > 1
            self._end(message["end"], message["why"] if stopped else f"error: process {rank}: {message['why']}")
        return "bye" in message

    def _lost(self, rank: int) -> NoReturn:
        why = f"process {rank} of {self._place.ranks} was killed, or its machine is gone"
        self._tell({"end": 1, "why": why}, besides=rank)
        self._end(1, f"error: {why}; its own log may say why", teller=0 if rank else 1)

    def _end(self, code: int, why: str, *, teller: int = 0) -> NoReturn:
        """End this process at once, whatever it does; one of those that are left, ``teller``, says why."""
        if self._place.rank == teller:
            cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
            print(f"{cursor}{visible(why)}; the same command goes on from what was saved", file=sys.stderr, flush=True)
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)


def _wait_for_signal(asked: Signals) -> None:
    """A process may stop because another was asked to, before it is told by which signal, which is its exit code."""
    until = time.monotonic() + _REASON_SECONDS
    while asked.signal is None and time.monotonic() < until:
        time.sleep(0.01)
