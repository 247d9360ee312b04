"""Find plugins and the components they offer. A plugin manager is made once by the caller and passed down."""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy
from attrs import define, field, frozen

from daframework import hookspecs
from daframework.errors import PluginError, unknown

GROUP = "daframework"
KINDS = ("generator", "discriminator", "loss", "task", "dataset")
_HOOKS = {
    "generator": "daf_generators",
    "discriminator": "daf_discriminators",
    "loss": "daf_losses",
    "task": "daf_tasks",
    "dataset": "daf_datasets",
}

Factory = Callable[..., Any]


@frozen
class Origin:
    """Where a plugin comes from: its entry point's name, its distribution and that distribution's version."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.plugin} ({self.distribution} {self.version})"


@frozen
class Component:
    """A factory that a plugin offers under a name."""

    kind: str
    name: str
    factory: Factory
    origin: Origin


@define
class Plugins:
    """The plugins that could be loaded, and a line for each that could not."""

    manager: pluggy.PluginManager
    origins: dict[str, Origin] = field(factory=dict)
    broken: list[str] = field(factory=list)


def load_plugins(extra: Mapping[str, Any] | None = None) -> Plugins:
    """Import every plugin of the entry-point group ``daframework``.

    A plugin that cannot be imported is recorded in ``broken`` and the others go on working. ``extra`` registers modules
    or objects by name beside them, as a test or a notebook does.

    Raises:
        PluginError: a plugin implements a hook that does not exist, or one with other arguments.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        origin = _origin(entry)
        try:
            module = entry.load()
        except (Exception, SystemExit) as error:  # whatever a stranger's module raises, the others must go on working
            plugins.broken.append(f"plugin {origin} cannot be imported: {type(error).__name__}: {error}")
            continue
        _register(plugins, module, origin)
    for name, module in (extra or {}).items():
        _register(plugins, module, Origin(name, "given in Python", "-"))
    return plugins


def _origin(entry: EntryPoint) -> Origin:
    distribution = entry.dist
    if distribution is None:
        return Origin(entry.name, "unknown", "unknown")
    return Origin(entry.name, distribution.name, distribution.version)


def _register(plugins: Plugins, module: Any, origin: Origin) -> None:
    try:
        plugins.manager.register(module, origin.plugin)
        plugins.manager.check_pending()
    except (ValueError, pluggy.PluginValidationError) as error:
        raise PluginError(f"plugin {origin}: {' '.join(str(error).split())}; uninstall or repair it") from error
    plugins.origins[origin.plugin] = origin


def components(plugins: Plugins, kind: str) -> dict[str, Component]:
    """All components of a kind ("generator"), by name.

    Raises:
        PluginError: two plugins offer one name, or a hook fails or returns no mapping.
    """
    found: dict[str, Component] = {}
    for origin, offered in _call(plugins, _HOOKS[kind]):
        if not isinstance(offered, Mapping):
            raise PluginError(
                f"plugin {origin}: {_HOOKS[kind]} must return a mapping of names to factories, got {offered!r}"
            )
        for name, factory in offered.items():
            if name in found:
                raise PluginError(
                    f"two plugins offer the {kind} '{name}': {found[name].origin} and {origin}; uninstall one of them"
                )
            found[name] = Component(kind, name, factory, origin)
    return found


def find(plugins: Plugins, kind: str, name: str) -> Component:
    """The component of this kind and name.

    Raises:
        PluginError: there is none; the message suggests the nearest name.
    """
    offered = components(plugins, kind)
    if name not in offered:
        raise PluginError(unknown(kind, name, offered) + "".join(f"; note: {line}" for line in plugins.broken))
    return offered[name]


def names(plugins: Plugins, kind: str) -> list[str]:
    """The names of all components of a kind, sorted."""
    return sorted(components(plugins, kind))


def folders(plugins: Plugins, hook: str) -> list[tuple[Origin, Path]]:
    """The folders that plugins offer through ``daf_recipes``, ``daf_suites`` or ``daf_label_spaces``.

    Raises:
        PluginError: a hook fails or returns no folder.
    """
    found = _call(plugins, hook)
    for origin, folder in found:
        if not isinstance(folder, str | Path):
            raise PluginError(f"plugin {origin}: {hook} must return a folder, got {folder!r}")
    return [(origin, Path(folder)) for origin, folder in found]


def _call(plugins: Plugins, hook: str) -> list[tuple[Origin, Any]]:
    results = []
    for implementation in getattr(plugins.manager.hook, hook).get_hookimpls():
        origin = plugins.origins[implementation.plugin_name]
        try:
            results.append((origin, implementation.function()))
        except Exception as error:
            raise PluginError(f"plugin {origin}: {hook} failed: {type(error).__name__}: {error}") from error
    return results
