"""What the site adds to pages: its navigation, and the reference of commands, components and the Python API."""

import inspect
import re
from pathlib import Path

import click

import daframework
from daframework.build import SUPPLIED
from daframework.cli import cli
from daframework.registry import KINDS, components, load_plugins

DOCS = Path(__file__).parent
INTERFACES = ("interfaces", "dataset_interface", "task_interface", "label_types")
MODULES = tuple(f"daframework.{name}" for name in (*INTERFACES, "listener", "metrics", "errors", "testing"))


def navigation(page):
    """Each section of docs/index.md is a part of the navigation, with the pages it links to; all others come last."""
    titles = re.findall(r"^## (.*)$", page, re.MULTILINE)
    parts = [re.findall(r"\]\(([\w/]+)\.md\)", part) for part in re.split(r"^## .*$", page, flags=re.MULTILINE)[1:]]
    parts[-1] += sorted({path.stem for path in DOCS.glob("*.md")} - {"index"}.union(*parts))
    return "".join(toctree(names, f":caption: {title}") for title, names in zip(titles, parts, strict=True))


def datasets(page):
    return toctree(sorted({path.stem for path in (DOCS / "datasets").glob("*.md")} - {"README"}))


def toctree(names, *options):
    return "\n".join(["", "```{toctree}", ":hidden:", ":titlesonly:", *options, "", *names, "```", ""])


def component_reference(page):
    """Every component that ships: its docstring, and its options by its factory's signature."""
    plugins, found = load_plugins(), []
    for kind in KINDS:
        found.append(f"\n## {kind.capitalize()}s\n")
        for name, one in sorted(components(plugins, kind).items()):
            if one.origin.distribution == "daframework":
                found += [f"\n### {kind}:{name}\n", described(one.factory)]
    return "\n".join(found)


def described(factory):
    text = inspect.getdoc(factory)
    if inspect.isclass(factory) and factory.__init__.__doc__:
        text += "\n\n" + inspect.getdoc(factory.__init__)
    said = re.findall(r"^    (\w+): (.*(?:\n {5}.*)*)", text, re.MULTILINE)
    text = re.sub(r"^(Args|Raises):\n( .*\n?)*", "", text, flags=re.MULTILINE)
    rows = [option(parameter, dict(said)) for parameter in inspect.signature(factory).parameters.values()]
    return f"{text}\n\n{table(('option', 'type', 'default', 'meaning'), rows)}"


def option(parameter, said):
    default = "required" if parameter.default is parameter.empty else code(parameter.default)
    kind = re.sub(r"[\w.]+\.(?=\w+)", "", inspect.formatannotation(parameter.annotation))
    meaning = said.get(parameter.name, "")
    return code(parameter.name), code(kind, str), "supplied" if parameter.name in SUPPLIED else default, meaning


def code(value, show=lambda value: value if isinstance(value, str) and value else repr(value)):
    return f"`{show(value)}`"


def table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows] if rows else []
    return "".join(
        f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )


def command_reference(page):
    """Every command: its usage, what it does, and its options."""
    return "\n".join(explained(context) for context in contexts(click.Context(cli, info_name="daf")))


def contexts(context):
    """Of every command that no plugin but ours adds, in the order of ``daf --help``."""
    if not isinstance(context.command, click.Group):
        yield context
        return
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        if command.callback is None or command.callback.__module__.startswith(("daframework.", "daf_")):
            yield from contexts(click.Context(command, info_name=name, parent=context))


def explained(context):
    command = context.command
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    rows = [(code(one.get_help_record(context)[0]), one.get_help_record(context)[1]) for one in options]
    about = f"{inspect.cleandoc(command.help)}\n\n{table(('option', 'meaning'), rows)}"
    return f"\n## {context.command_path}\n\n```text\n{usage}\n```\n\n{re.sub(r'<(?=[a-z])', '&lt;', about)}"


def python_reference(page):
    """What scripts use, and what plugins are made of and tested with."""
    offered = {name: getattr(daframework, name) for name in daframework.__all__}
    made_of = {name: one.__module__.split(".")[1] for name, one in offered.items() if not isinstance(one, str)}
    own = [name for name, module in made_of.items() if f"daframework.{module}" not in MODULES]
    scripts = [
        directive("class" if inspect.isclass(getattr(daframework, name)) else "function", f"daframework.{name}")
        for name in own
        if name != "hookimpl"
    ]
    scripts.append(directive("data", "daframework.API_VERSION"))
    found = ["\n## daframework\n", evaluated(scripts)]
    for module in MODULES:
        found += [f"\n## {module}\n", evaluated([directive("module", module)])]
    return "\n".join(found)


def directive(kind, name):
    return f".. auto{kind}:: {name}"


def evaluated(lines):
    return "\n".join(["```{eval-rst}", *lines, "```"])


ADDED = {
    "index": navigation,
    "datasets/README": datasets,
    "components": component_reference,
    "commands": command_reference,
    "api": python_reference,
}
