"""``daf plugins``."""

import inspect
from typing import TYPE_CHECKING

import click

from daframework.cli.options import installed_plugins
from daframework.errors import visible

if TYPE_CHECKING:
    from daframework.registry import Component


@click.command("plugins")
@click.argument("component", required=False, metavar="[KIND:NAME]")
def command(component: str | None) -> None:
    """List every component with its plugin, distribution and version, or explain the one called KIND:NAME.

    Names that several plugins offer, and plugins that do not work or are blocked, are listed on standard error.
    DAF_BLOCK=NAME,NAME in the environment blocks plugins, by their own or their distribution's name.
    """
    from daframework.errors import PluginError, unknown
    from daframework.registry import KINDS, clashes, components, find

    plugins = installed_plugins()
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


def _explain(component: "Component") -> None:
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
