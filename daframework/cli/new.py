"""``daf new``: what to start from."""

from pathlib import Path

import click

from daframework.cli.options import PATH, installed_plugins
from daframework.errors import visible
from daframework.scaffold import SCAFFOLDS, write_scaffold


@click.group("new")
def command() -> None:
    """Write something that works, to start from."""


@command.command("plugin", short_help="Write a plugin package that works, to start from.")
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(SCAFFOLDS), help="What the plugin offers.")
@click.option("--out", type=PATH, help="The new folder; daf-NAME unless given.")
@click.pass_context
def plugin(ctx: click.Context, name: str, kind: str, out: Path | None) -> None:
    """Write the package of a plugin called NAME that offers a small component of a kind, which works.

    It holds pyproject.toml with the entry point, the code, its tests, a README and a CI file for GitHub. NAME is an
    identifier that no plugin or component has yet: soft_focus makes the distribution daf-soft-focus and the module
    daf_soft_focus.
    """
    root = ctx.find_root()
    out = out or Path(f"daf-{name.replace('_', '-')}")
    daf = root.command
    commands = daf.list_commands(root) if isinstance(daf, click.Group) else []
    write_scaffold(installed_plugins(), name, kind, out, commands=commands)
    click.echo(visible(f"the {kind} {name} lies in {out}; to install, test and check it:"))
    click.echo(visible(f'  cd {out} && pip install -e ".[test]" && pytest && daf plugins --check {name}'))
