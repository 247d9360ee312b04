"""The command ``daf``. A command's module, and torch with it, is imported only when that command runs."""

import atexit
import errno
import gc
import os
import sys
import warnings

import click
from click.shell_completion import add_completion_class

from daframework.cli.bash import Bash
from daframework.cli.lazy import LazyGroup
from daframework.cli.options import installed_plugins
from daframework.errors import DafError, complain, visible, warn
from daframework.registry import each, fault_of

_COMMANDS = {
    "init": "Write a recipe to edit, or one for two folders of your own.",
    "run": "Run a recipe: train, translate, score, and print the table.",
    "check": "Check a recipe without computing anything.",
    "recipes": "List the recipes, or print one.",
    "plugins": "List the components, or explain one.",
    "new": "Write a plugin package that works, to start from.",
    "doctor": "Look at the machine and the installation, and say what is amiss.",
    "data": "Check, measure, show and convert datasets.",
    "translate": "Translate a folder of images with a finished run.",
    "predict": "Segment a folder of images with a finished run.",
    "bench": "Run a suite: many recipes, seeds and tasks, and one table.",
    "tune": "Search a recipe's loss weights and learning rates without a label of the target.",
    "report": "Print one table over several runs.",
    "diff": "Show what differs between two runs.",
}
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class _AllCommands(LazyGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_added(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return super().get_command(ctx, name) or _added(ctx).get(name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        shown = {name: command for name, command in _added(ctx).items() if not command.hidden}
        if shown:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, command.get_short_help_str(100)) for name, command in shown.items()])


def _added(ctx: click.Context) -> dict[str, click.Command]:
    """The commands that plugins add, looked for once."""
    if "added" not in ctx.meta:
        plugins, group, added = installed_plugins(), click.Group(), dict[str, click.Command]()
        for origin, _ in each(plugins, "daf_commands", group=group):
            offered: dict[str, object] = {**group.commands}  # whatever the plugin put there
            for name, command in offered.items():
                if not isinstance(command, click.Command):
                    warn(f"plugin {origin}: its command '{name}' is left out, since it is no command of click")
                elif name in _COMMANDS or name in added:
                    warn(f"plugin {origin}: its command '{name}' is left out, since daf has one of that name")
                else:
                    added[name] = command
            group.commands.clear()
        ctx.meta["added"] = added
    found: dict[str, click.Command] = ctx.meta["added"]
    return found


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


@click.group(cls=_AllCommands, package=__name__, help_by_name=_COMMANDS, context_settings=_SETTINGS)
@click.version_option(package_name="daframework", prog_name="daf")
@click.option("--debug", is_flag=True, help="Show a full traceback of any error; may stand anywhere in the command.")
def cli(debug: bool) -> None:
    """Make labelled source images look like an unlabelled target domain, and measure what that was worth."""


def main() -> None:
    """Run ``daf``: an error the user can mend is shown as a line or more, without a traceback; exit code 1."""
    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    shown, warnings.showwarning = warnings.showwarning, _warn
    add_completion_class(Bash)
    atexit.register(gc.freeze)  # or Python goes through all of torch's objects once more as it ends, for a second
    try:
        # click would print a traceback of its own for what is not its error.
        sys.exit(cli.main(arguments, prog_name="daf", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe has gone; nothing is left to say, and Python must not try to at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        _complain(error)
        sys.exit(1)
    finally:
        _end_workers()
        warnings.showwarning = shown


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Tell in one line what a library warns of, without its path and line of code."""
    warn(" ".join(str(message).split()))


def _end_workers() -> None:
    """End the processes that still load images for a loop that an error ended, and whose frames the error holds.

    Python would ask each by one SIGTERM, which it takes for a scheduler's and its parent's business, and wait for ever.
    """
    if "multiprocessing" not in sys.modules:
        return
    import signal
    from multiprocessing import active_children

    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or torch raises an error for each that ends so
    for child in active_children():
        child.kill()


def _complain(error: Exception) -> None:
    if isinstance(error, OSError) and error.errno in _DISK:  # of a file none of ours, such as where output goes
        error = DafError(visible(f"{error.filename or 'the output'}: {error.strerror}"))
    elif not isinstance(error, DafError):
        first = (str(error).splitlines() or [""])[0]
        notes = "".join(f", {note}" for note in getattr(error, "__notes__", ()))
        of = fault_of(error) or "a plugin"
        where = f"(a fault of daframework or of {of}; the same command with --debug shows where)"
        error = DafError(visible(f"unexpected {type(error).__name__}: {first}{notes} {where}"))
    complain(error)
