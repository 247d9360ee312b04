"""The command itself: where it listens, and how it ends."""

import logging
import os
import signal
import socket
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import click

from daframework.errors import RunError, needing, warn


@click.command("serve")
@click.argument("runs", type=click.Path(path_type=Path), default=".")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen at; this machine only, unless given."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port to listen at; 0 for any free."
)
def command(runs: Path, host: str, port: int) -> None:
    """Show the runs and benches below the folder RUNS in a browser, and let their models be tried on an image.

    RUNS is the working directory unless given. Nothing in it is changed. Ctrl-C ends it. It needs Starlette, uvicorn
    and Jinja2, which the extra serve installs. See docs/serve.md.
    """
    with needing("daf serve needs a library", extra="serve"):
        import jinja2  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn
    if not runs.is_dir():
        raise RunError(f"{runs}: no such folder; give the one that your runs lie in, such as runs or bench")
    with _listening(host, port) as listener:
        from daf_serve.doorman import names_of
        from daf_serve.site import make_site

        port = listener.getsockname()[1]
        if not is_loopback(host):
            warn(f"whoever can reach {host} sees these runs and may use their models: there is no password")
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        click.echo(f"{runs.resolve()} at {address} (Ctrl-C ends it)")
        site = make_site(runs.resolve(), names_of(host, loopback=is_loopback(host)))
        config = uvicorn.Config(site, log_level="error", ws="none", server_header=False, lifespan="off")

        class AtOnce(uvicorn.Server):
            """Ends on the first signal: pages that follow a run would otherwise hold it up until they are closed."""

            def handle_exit(self, sig: int, frame: object) -> None:
                super().handle_exit(sig, None)
                self.force_exit = True
                logging.getLogger("uvicorn.error").disabled = True  # or it would call what is cut off an error

        server = AtOnce(config)
        with suppress(KeyboardInterrupt):  # none comes where a shell started this in the background
            server.run(sockets=[listener])
        if server.force_exit:
            # Not in good order: a network that is at work in another thread would have Python abort.
            click.echo("stopped", err=True)
            os._exit(128 + signal.SIGINT)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listening(host: str, port: int) -> socket.socket:
    """A socket at ``host`` and ``port``.

    Raises:
        RunError: there can be none.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        said = f"cannot listen at port {port} of {host} ({error.strerror or error})"
        raise RunError(f"{said}; give another --port, 0 for any free one, or another --host") from error
