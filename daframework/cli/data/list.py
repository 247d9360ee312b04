"""``daf data list``."""

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daframework.cli.options import echo_json, echo_named, installed_plugins, json_option, listed
from daframework.errors import visible
from daframework.registry import Component, components

if TYPE_CHECKING:
    from daframework.data.spaces import LabelSpace


@click.command("list")
@json_option
def command(as_data: bool) -> None:
    """List the datasets that plugins offer: what each is, its classes, and whether its files are where DAF_DATA says.

    daf plugins dataset:NAME explains a dataset's options.
    """
    from daframework.data.spaces import label_spaces

    plugins = installed_plugins()
    spaces = label_spaces(plugins)
    data = os.environ.get("DAF_DATA")
    found = [one for _, one in sorted(components(plugins, "dataset").items())]
    if as_data:
        rows = [listed(one) | {"description": _first_line(one), "files": _files(one, data)} for one in found]
        echo_json({"datasets": rows, "label_spaces": {space.name: space.classes for space in spaces}})
        return
    click.echo(f"DAF_DATA is {visible(data)}" if data else "DAF_DATA is not set: no folder to look for datasets in")
    for component in found:
        origin = component.origin
        click.echo(f"\n{component.name}  {origin.distribution} {origin.version} ({origin.plugin})")
        click.echo(f"  {_first_line(component)}")
        click.echo(f"  {_classes(component, spaces)}")
        click.echo(f"  {visible(_files(component, data))}")
    click.echo("\nlabel spaces")
    echo_named((f"  {one.name}", f"{len(one.classes)} classes: {', '.join(one.classes)}") for one in spaces)


def _first_line(component: Component) -> str:
    return (inspect.getdoc(component.factory) or "no description").splitlines()[0].replace("``", "")


def _classes(component: Component, spaces: "list[LabelSpace]") -> str:
    classes = getattr(component.factory, "classes", None)
    if classes is None:
        return "classes: known once its options are given"
    if not classes:
        return f"no classes, but {' and '.join(getattr(component.factory, 'labels', ()))}"
    fitting = [space.name for space in spaces if space.classes == tuple(classes)]
    return f"{len(classes)} classes: {fitting[0] if fitting else ', '.join(classes)}"


def _files(component: Component, data: str | None) -> str:
    """Where its files are looked for, by the rule that a dataset's folder in DAF_DATA has its name."""
    root = inspect.signature(component.factory).parameters.get("root")
    if root is None:
        return "needs no files"
    if root.default is root.empty:
        return "your own folder: give it as root"
    if not data:
        return "give its folder as root, or set DAF_DATA"
    folder = Path(data).expanduser() / component.name
    return f"found: {folder}" if folder.is_dir() else f"not found: {folder}"
