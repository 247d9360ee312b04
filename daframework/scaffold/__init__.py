"""Write a plugin package to start from: an entry point, a small component that works, tests, a README, a CI file."""

import importlib.util
import keyword
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import mkdtemp

from daframework.errors import PluginError, RunError
from daframework.plugin_api import API_VERSION
from daframework.recipes.read import offered_files
from daframework.registry import HOOKS, KINDS, Plugins, clashes, components

SCAFFOLDS = (*KINDS, "listener", "command")
"""What there is to start from."""
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 64  # letters of a name, which files are called after
_SHIPPED = {
    "source": 'name = "streets"\nlook = "game"',
    "target": 'name = "streets"\nlook = "camera"',
    "generator": 'name = "resnet"\nchannels = 8\nblocks = 2',
    "discriminator": 'name = "patchgan"\nchannels = 16\nlayers = 2',
    "loss": 'name = "cycle"\nweight = 10.0',
    "task": 'name = "segmentation"\nencoder = "resnet18"\n'
    "arch_options = { encoder_depth = 3, decoder_channels = [64, 32, 16] }",
}
"""What the recipe of a component has in the places of others."""
_OWN = 'name = "plugin_name"'
_USE = {
    "listener": "From then on every run writes `plugin_name.csv` into its folder.",
    "command": "From then on there is a command:\n\n    daf plugin-name FOLDER",
}
_COMPONENT_USE = """Explain it, and run the recipe that comes with it:

    daf plugins plugin_kind:plugin_name
    daf run plugin_name"""


def scaffold(name: str, kind: str) -> dict[str, str]:
    """The text of each file of a plugin called ``name`` that offers one of `SCAFFOLDS`, by its path in the project."""
    recipe = dict(_SHIPPED)
    if kind == "dataset":
        recipe |= {"source": f'{_OWN}\nlook = "bright"', "target": f'{_OWN}\nlook = "dark"'}
    else:
        recipe[kind] = _OWN
    words = {f"PLUGIN_{table.upper()}": text for table, text in recipe.items()} | {
        "PLUGIN_API": API_VERSION,
        "PLUGIN_USE": _USE.get(kind, _COMPONENT_USE),
        # Such as SoftFocusGenerator: no class of daframework is called so.
        "PluginClass": name.title().replace("_", "") + {"dataset": "Images"}.get(kind, kind.title()),
        "plugin_hook": HOOKS.get(kind, ""),
        "plugin_kind": kind,
        "plugin_name": name,
        "plugin-name": name.replace("_", "-"),
        "dot_github": ".github",
    }
    written: dict[str, str] = {}
    for part in ("every", *(["component"] if kind in KINDS else []), kind):
        folder = Path(__file__).parent / "templates" / part
        for file in sorted(folder.rglob("*.tmpl")):
            path, text = file.relative_to(folder).with_suffix("").as_posix(), file.read_text(encoding="utf-8")
            for word, meant in words.items():  # in this order, as one may hold another
                path, text = path.replace(word, meant), text.replace(word, meant)
            written[path] = text
    return written


def write_scaffold(plugins: Plugins, name: str, kind: str, out: Path, *, commands: Iterable[str]) -> None:
    """Write `scaffold` into the new folder ``out``, whole or not at all; ``commands`` are those that ``daf`` has.

    Raises:
        PluginError: the name is none, or is taken.
        RunError: ``out`` exists, or cannot be written.
    """
    _check_name(name)
    _check_free(plugins, name, kind, commands)
    if os.path.lexists(out):
        raise RunError(f"{out} exists; nothing was written, give another folder with --out")
    partial: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(mkdtemp(prefix=f".{name}.", suffix=".partial", dir=out.parent))
        for path, text in scaffold(name, kind).items():
            file = partial / "project" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        (partial / "project").rename(out)
    except OSError as error:
        why = "a file lies in the way" if isinstance(error, FileExistsError) else error.strerror or error
        raise RunError(f"{out} cannot be written: {why}") from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or keyword.iskeyword(name):
        allowed = f"small letters a-z and digits, words joined by _, at most {_LONGEST} letters, no word of Python's"
        raise PluginError(f"'{name}' cannot be a plugin's name: it must be {allowed}, as in soft_focus")
    for module in (name, f"daf_{name}"):
        if module in sys.stdlib_module_names or _is_installed(module):
            raise PluginError(f"'{name}' would shadow the module {module}, which is installed; choose another name")


def _is_installed(module: str) -> bool:
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a module that is half there
        return True
    return found is not None and found.origin is not None  # without one it is any folder that lies on the way


def _check_free(plugins: Plugins, name: str, kind: str, commands: Iterable[str]) -> None:
    origins = [*plugins.origins.values(), *plugins.blocked]
    taken = [f"the plugin {one}" for one in origins if name == one.plugin or f"daf-{name}" == one.distribution]
    if kind in KINDS:
        component = components(plugins, kind).get(name)
        taken += [f"the {kind} of {component.origin}"] if component else []
        taken += [line for line in clashes(plugins, kind) if f"'{name}'" in line]
        taken += [f"the recipe {file}" for recipe, file, _ in offered_files(plugins) if recipe == name]
    elif kind == "command" and name.replace("_", "-") in commands:
        taken.append(f"the command daf {name}")
    if taken:
        raise PluginError(f"'{name}' is taken by {taken[0]}; choose another name")
