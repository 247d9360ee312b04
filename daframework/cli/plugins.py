"""``daf plugins``."""

import inspect
import sys
from collections import Counter

import click

from daframework.cli.options import installed_plugins
from daframework.errors import PluginError, unknown, visible
from daframework.registry import KINDS, Component, Plugins, clashes, components, find


@click.command("plugins")
@click.argument("component", required=False, metavar="[KIND:NAME]")
@click.option("--check", is_flag=True, help="Check all, one component or one plugin against its contract.")
def command(component: str | None, check: bool) -> None:
    """List every component with its plugin, distribution and version, or explain the one called KIND:NAME.

    With --check, run the contract checks of daframework.testing on all of them, on KIND:NAME, or on what the plugin or
    distribution of a NAME offers, a line each; the exit code is 1 if one is broken.

    Names that several plugins offer, and plugins that do not work or are blocked, are listed on standard error.
    DAF_BLOCK=NAME,NAME in the environment blocks plugins, by their own or their distribution's name.
    """
    plugins = installed_plugins()
    if check:
        _check(plugins, component)
        return
    if component is not None:
        kind, _, name = component.partition(":")
        if kind not in KINDS:
            raise PluginError(f"{component}: {unknown('kind', kind, KINDS)}; write it as generator:resnet")
        _explain(find(plugins, kind, name))
        return
    rows = [one for kind in KINDS for one in components(plugins, kind).values()]
    width = max((len(f"{one.kind}:{one.name}") for one in rows), default=0)
    for one in sorted(rows, key=lambda row: (KINDS.index(row.kind), row.name)):
        title = f"{one.kind}:{one.name}"
        click.echo(visible(f"{title:{width}}  {one.origin.distribution} {one.origin.version} ({one.origin.plugin})"))
    for kind in KINDS:
        for line in clashes(plugins, kind):
            click.echo(visible(f"clash: {line}"), err=True)
    for origin in plugins.blocked:
        click.echo(visible(f"blocked: plugin {origin}, by DAF_BLOCK"), err=True)


def _check(plugins: Plugins, only: str | None) -> None:
    from daframework.testing.registered import BROKEN, check_installed

    found = Counter[str]()
    for one in check_installed(plugins, only):
        found[one.state] += 1
        click.echo(visible(f"{one.state:11}  {one.what}{': ' * bool(one.why)}{one.why}"))
    click.echo(", ".join(f"{number} {state}" for state, number in found.items()))
    if found[BROKEN]:
        sys.exit(1)


def _explain(component: Component) -> None:
    from daframework.build import SUPPLIED

    signature = inspect.signature(component.factory)
    click.echo(f"{component.kind} '{component.name}' of {component.origin}\n")
    for name, parameter in signature.parameters.items():
        note = f"    (supplied: {SUPPLIED[name]})" if name in SUPPLIED else ""
        click.echo(f"  {parameter}{note}")
    text = inspect.getdoc(component.factory)
    init = inspect.getdoc(component.factory.__init__) if inspect.isclass(component.factory) else None
    for part in (text, init):
        if part:
            click.echo(f"\n{part}")
