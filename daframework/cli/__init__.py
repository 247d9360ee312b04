"""The command ``daf``. A command's module, and torch with it, is imported only when that command runs."""

import os
import sys

import click

from daframework.cli.lazy import LazyGroup
from daframework.errors import DafError

_COMMANDS = {
    "run": "Run a recipe: train, translate, score, and print the table.",
    "check": "Check a recipe without computing anything.",
    "recipes": "List the recipes, or print one.",
    "plugins": "List the components, or explain one.",
    "data": "Check, measure, show and convert datasets.",
    "translate": "Translate a folder of images with a finished run.",
    "predict": "Segment a folder of images with a finished run.",
    "bench": "Run a suite: many recipes, seeds and tasks, and one table.",
    "report": "Print one table over several runs.",
}


class _Commands(LazyGroup):
    package = __name__
    help_by_name = _COMMANDS


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="daframework", prog_name="daf")
@click.option("--debug", is_flag=True, help="Show a full traceback of any error; may stand anywhere in the command.")
def cli(debug: bool) -> None:
    """Make labelled source images look like an unlabelled target domain, and measure what that was worth."""


def main() -> None:
    """Run ``daf``: an error the user can mend is shown as a line or more, without a traceback; exit code 1."""
    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
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


def _complain(error: Exception) -> None:
    from daframework.report.lettering import visible

    if isinstance(error, DafError):
        for line in str(error).splitlines():
            click.echo(f"error: {visible(line)}", err=True)  # a file may be named after what commands a terminal
        return
    first = (str(error).splitlines() or [""])[0]
    click.echo(
        f"error: unexpected {type(error).__name__}: {first} (a fault of daframework or of a plugin; "
        "the same command with --debug shows where)",
        err=True,
    )
