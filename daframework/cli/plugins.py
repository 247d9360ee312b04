"""``daf plugins``."""

import inspect
import sys
from collections import Counter

import click

from daframework.cli.options import complete_components, echo_json, echo_named, installed_plugins, json_option, listed
from daframework.errors import PluginError, unknown, visible
from daframework.registry import KINDS, Component, Plugins, clashes, components, find


@click.command("plugins")
@click.argument("component", required=False, metavar="[KIND:NAME]", shell_complete=complete_components)
@click.option("--check", is_flag=True, help="Check all, one component or one plugin against its contract.")
@json_option
def command(component: str | None, check: bool, as_data: bool) -> None:
    """List every component with its plugin, distribution and version, or explain the one called KIND:NAME.

    With --check, run the contract checks of daframework.testing on all of them, on KIND:NAME, or on what the plugin or
    distribution of a NAME offers, a line each; the exit code is 1 if one is broken.

    Names that several plugins offer, and plugins that do not work or are blocked, are listed on standard error.
    DAF_BLOCK=NAME,NAME in the environment blocks plugins, by their own or their distribution's name.
    """
    plugins = installed_plugins()
    if check:
        _check(plugins, component, as_data)
        return
    if component is not None:
        kind, _, name = component.partition(":")
        if kind not in KINDS:
            raise PluginError(f"{component}: {unknown('kind', kind, KINDS)}; write it as generator:resnet")
        _explain(find(plugins, kind, name), as_data)
        return
    rows = [one for kind in KINDS for _, one in sorted(components(plugins, kind).items())]
    if as_data:
        echo_json([listed(one) for one in rows])
    else:
        origins = {f"{one.kind}:{one.name}": one.origin for one in rows}
        echo_named((name, f"{one.distribution} {one.version} ({one.plugin})") for name, one in origins.items())
    for kind in KINDS:
        for line in clashes(plugins, kind):
            click.echo(visible(f"clash: {line}"), err=True)
    for origin in plugins.blocked:
        click.echo(visible(f"blocked: plugin {origin}, by DAF_BLOCK"), err=True)


def _check(plugins: Plugins, only: str | None, as_data: bool) -> None:
    from daframework.testing.registered import BROKEN, check_installed

    found, verdicts = Counter[str](), []
    for one in check_installed(plugins, only):
        found[one.state] += 1
        verdicts.append({"state": one.state, "what": one.what, "why": one.why})
        if not as_data:
            click.echo(visible(f"{one.state:11}  {one.what}{': ' * bool(one.why)}{one.why}"))
    if as_data:
        echo_json(verdicts)
    else:
        click.echo(", ".join(f"{number} {state}" for state, number in found.items()))
    if found[BROKEN]:
        sys.exit(1)


def _explain(component: Component, as_data: bool) -> None:
    from daframework.build import SUPPLIED

    signature = inspect.signature(component.factory)
    text = inspect.getdoc(component.factory)
    init = inspect.getdoc(component.factory.__init__) if inspect.isclass(component.factory) else None
    docs = [part for part in (text, init) if part and part != inspect.getdoc(object.__init__)]
    if as_data:
        options = [
            {"name": name, "signature": str(parameter), "required": parameter.default is parameter.empty}
            for name, parameter in signature.parameters.items()
            if name not in SUPPLIED
        ]
        echo_json(listed(component) | {"options": options, "description": "\n\n".join(docs)})
        return
    click.echo(f"{component.kind} '{component.name}' of {component.origin}\n")
    for name, parameter in signature.parameters.items():
        note = f"    (supplied: {SUPPLIED[name]})" if name in SUPPLIED else ""
        click.echo(f"  {parameter}{note}")
    for part in docs:
        click.echo(f"\n{part}")
