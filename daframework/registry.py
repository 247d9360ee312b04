"""Find plugins and the components they offer. A plugin manager is made once by the caller and passed down.

An installed plugin that fails is noted and left out; what the caller gives in Python raises. ``DAF_BLOCK=name,name`` in
the environment leaves plugins out by their own or their distribution's name.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from reprlib import repr as short
from traceback import walk_tb
from typing import Any, TypeVar

import pluggy
from attrs import define, field, frozen

from daframework import hookspecs
from daframework.errors import PluginError, RunError, one_line, unknown
from daframework.guard import guarded, told_if_slow
from daframework.plugin_api import API_VERSION, check_made_for

T = TypeVar("T")
GROUP = "daframework"
BLOCK = "DAF_BLOCK"
HOOKS = {
    "generator": "daf_generators",
    "discriminator": "daf_discriminators",
    "loss": "daf_losses",
    "task": "daf_tasks",
    "dataset": "daf_datasets",
}
KINDS = tuple(HOOKS)
_OWN = "daframework"
_GIVEN = "given in Python"

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


def _say_nothing(line: str) -> None:
    pass


@define
class Plugins:
    """The plugins that could be loaded, by the name that ``manager`` knows them by.

    ``broken`` has a line for each fault that was found in one, ``blocked`` those that `BLOCK` names. ``warn`` is told
    of a fault when it is found, and of what is slow.
    """

    manager: pluggy.PluginManager
    warn: Callable[[str], None] = _say_nothing
    origins: dict[str, Origin] = field(factory=dict)
    broken: list[str] = field(factory=list)
    blocked: list[Origin] = field(factory=list)
    _answers: dict[str, list[tuple[Origin, Any]]] = field(factory=dict)


def load_plugins(extra: Mapping[str, Any] | None = None, *, warn: Callable[[str], None] = _say_nothing) -> Plugins:
    """Import every plugin of the entry-point group ``daframework``.

    One that cannot be imported, or whose hooks are not those that exist, is recorded in ``broken`` and the others go on
    working. ``extra`` registers modules or objects by name beside them, as a test or a notebook does. ``warn`` is told
    in a line what the user should know.

    Raises:
        PluginError: one of ``extra`` has the name of an installed plugin, or implements a hook that does not exist, or
            one with other arguments.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager, warn)
    found = sorted(
        ((origin_of(entry), entry) for entry in _entries(partial(_note, plugins))), key=lambda pair: str(pair[0])
    )
    blocked = {part.strip() for part in os.environ.get(BLOCK, "").split(",")} - {""}
    for origin, entry in found:
        if blocked & {origin.plugin, origin.distribution}:
            plugins.blocked.append(origin)
        else:
            # What daframework ships is slow only where the machine is.
            slow = _say_nothing if origin.distribution == _OWN else warn
            remedy = f"{BLOCK}={origin.plugin} switches it off"
            with told_if_slow(f"plugin {origin}", remedy, slow), _visit(plugins, origin):
                _register(plugins, entry.load(), origin)
    known = {name for origin, _ in found for name in (origin.plugin, origin.distribution)}
    for name in sorted(blocked - known):
        warn(f"{BLOCK}: {unknown('plugin', name, known)}")
    for name, module in (extra or {}).items():
        _register(plugins, module, Origin(name, _GIVEN, "-"))
    return plugins


def _entries(note: Callable[[str], None]) -> list[EntryPoint]:
    try:
        return list(entry_points(group=GROUP))
    except Exception:  # one damaged list of entry points, of whatever distribution, keeps Python from giving any
        found: dict[tuple[str, str], EntryPoint] = {}
        for distribution in distributions():
            try:
                for entry in distribution.entry_points.select(group=GROUP):
                    found.setdefault((distribution.name, entry.name), entry)  # the first on the path is imported
            except Exception as error:
                what = f"the entry points of distribution {distribution.name} cannot be read"
                note(f"{what}: {one_line(error)}")
        return list(found.values())


def origin_of(entry: EntryPoint) -> Origin:
    """Where the plugin of an entry point comes from."""
    name, version = (entry.dist.name, entry.dist.version) if entry.dist else ("", "")
    return Origin(entry.name, name or "unknown", version or "unknown")


def fault_of(error: BaseException) -> str | None:
    """The plugin whose code an error came through last, as ``plugin odd (daf-odd 0.3), line 7 of loss.py``.

    None where it came through none but those that ship.
    """
    plugins = {entry.module.partition(".")[0]: origin_of(entry) for entry in _entries(_say_nothing)}
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        origin = plugins.get(frame.f_globals.get("__name__", "").partition(".")[0])
        if origin is not None and origin.distribution != _OWN:
            return f"plugin {origin}, line {line} of {Path(frame.f_code.co_filename).name}"
    return None


def _register(plugins: Plugins, module: Any, origin: Origin) -> None:
    name = str(origin)
    try:
        check_made_for(getattr(module, "daf_api", API_VERSION))
        if origin.distribution == _GIVEN and any(origin.plugin == one.plugin for one in plugins.origins.values()):
            raise ValueError("a plugin of this name is already registered")
        plugins.manager.register(module, name)
        plugins.origins[name] = origin
        plugins.manager.check_pending()
    except (ValueError, pluggy.PluginValidationError) as error:
        if plugins.origins.pop(name, None) is not None:
            plugins.manager.unregister(name=name)  # or each one after it would be refused for its sake
        raise PluginError(f"plugin {origin}: {one_line(error)}; uninstall or repair it") from error


@contextmanager
def _visit(plugins: Plugins, origin: Origin, hook: str | None = None) -> Iterator[None]:
    """Inside, a plugin is imported, or its ``hook`` is called: a fault in it is noted, and the others go on working.

    Raises:
        PluginError: a fault in a plugin given in Python.
        RunError: what it says of itself.
    """
    try:
        with guarded(f"plugin {origin}", plugins.warn):
            yield
    except RunError:
        raise
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything
        fault(plugins, origin, f": {hook} failed" if hook else " cannot be imported", error)


def fault(plugins: Plugins, origin: Origin, what: str, error: BaseException) -> None:
    """Note that an installed plugin failed; ``what`` goes on from its name.

    Raises:
        PluginError: it was given in Python, where it can be mended.
    """
    line = str(error) if isinstance(error, PluginError) else f"plugin {origin}{what}: {one_line(error, kind=True)}"
    if origin.distribution == _GIVEN:
        raise PluginError(line) from error
    _note(plugins, line)


def _note(plugins: Plugins, line: str) -> None:
    plugins.broken.append(line)
    plugins.warn(line)


def components(plugins: Plugins, kind: str) -> dict[str, Component]:
    """All components of a kind ("generator"), by name, but for those whose name several plugins offer: see `clashes`.

    Raises:
        PluginError: a hook of a plugin given in Python fails or returns no mapping.
    """
    return {name: found[0] for name, found in _offered(plugins, kind).items() if len(found) == 1}


def clashes(plugins: Plugins, kind: str) -> list[str]:
    """A line for each name of this kind that more than one plugin offers."""
    return [_clash(found) for found in _offered(plugins, kind).values() if len(found) > 1]


def find(plugins: Plugins, kind: str, name: str) -> Component:
    """The component of this kind and name.

    Raises:
        PluginError: there is none, and the message suggests the nearest name; or more than one plugin offers it.
    """
    offered = _offered(plugins, kind)
    if name not in offered:
        raise PluginError(unknown(kind, name, offered) + "".join(f"; note: {line}" for line in left_out(plugins)))
    if len(offered[name]) > 1:
        raise PluginError(_clash(offered[name]))
    return offered[name][0]


def left_out(plugins: Plugins) -> list[str]:
    """A line for each plugin, or part of one, that is not there: why something may not be found."""
    return plugins.broken + [f"plugin {origin} is blocked by {BLOCK}" for origin in plugins.blocked]


def folders(plugins: Plugins, hook: str) -> list[tuple[Origin, Path]]:
    """The folders that plugins offer through ``daf_recipes``, ``daf_suites`` or ``daf_label_spaces``.

    Raises:
        PluginError: a hook of a plugin given in Python fails or returns no folder.
    """
    return _ask(plugins, hook, _folder)


def each(plugins: Plugins, hook: str, **given: Any) -> Iterator[tuple[Origin, Any]]:
    """What a hook with arguments gives, plugin by plugin, each called in its turn; one in which it fails is left out.

    Raises:
        PluginError: it fails in a plugin given in Python.
        RunError: a plugin says that what the user asks of it cannot be done.
    """
    for implementation in getattr(plugins.manager.hook, hook).get_hookimpls():
        origin, answers = plugins.origins[implementation.plugin_name], []
        with _visit(plugins, origin, hook):
            answers.append(implementation.function(*(given[name] for name in implementation.argnames)))
        yield from ((origin, answer) for answer in answers)


def _offered(plugins: Plugins, kind: str) -> dict[str, list[Component]]:
    found: dict[str, list[Component]] = {}
    for origin, offered in _ask(plugins, HOOKS[kind], _factories):
        for name, factory in offered.items():
            found.setdefault(name, []).append(Component(kind, name, factory, origin))
    return found


def _clash(found: list[Component]) -> str:
    number = "two" if len(found) == 2 else len(found)
    offering = " and ".join(str(one.origin) for one in found)
    plugins = [one.origin.plugin for one in found]
    distinct = plugins if len(set(plugins)) == len(found) else [one.origin.distribution for one in found]
    switches = " or ".join(f"{BLOCK}={name}" for name in distinct)
    offer = f"{number} plugins offer the {found[0].kind} '{found[0].name}': {offering}"
    return f"{offer}; uninstall one of them, or switch one off with {switches}"


def _ask(plugins: Plugins, hook: str, read: Callable[[Any], T]) -> list[tuple[Origin, T]]:
    """What every plugin that has the hook answers, as ``read`` reads it. Each is asked once."""
    if hook not in plugins._answers:
        answers: list[tuple[Origin, T]] = []
        for origin, answer in each(plugins, hook):
            with _visit(plugins, origin, hook):
                try:
                    answers.append((origin, read(answer)))
                except TypeError as error:
                    raise PluginError(f"plugin {origin}: {hook} must return {error}, got {short(answer)}") from error
        plugins._answers[hook] = answers
    return plugins._answers[hook]


def _factories(answer: Any) -> dict[str, Factory]:
    if isinstance(answer, Mapping) and all(isinstance(name, str) and callable(one) for name, one in answer.items()):
        return dict(answer)
    raise TypeError("a mapping of names to factories")


def _folder(answer: Any) -> Path:
    if not isinstance(answer, str | Path):
        raise TypeError("a folder")
    return Path(answer)
