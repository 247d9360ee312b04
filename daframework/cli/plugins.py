"""``daf plugins``."""

import inspect
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from daframework.registry import Component


@click.command("plugins")
@click.argument("component", required=False, metavar="[KIND:NAME]")
def command(component: str | None) -> None:
    """List every component with its plugin, distribution and version, or explain the one called KIND:NAME."""
    from daframework.errors import PluginError, unknown
    from daframework.registry import KINDS, components, find, load_plugins

    plugins = load_plugins()
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
        click.echo(f"{title:{width}}  {one.origin.distribution} {one.origin.version} ({one.origin.plugin})")
    for line in plugins.broken:
        click.echo(f"broken: {line}", err=True)


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
