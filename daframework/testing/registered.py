"""Contract checks for whatever is installed: what is registered is made, and tried with small numbers."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

import torch
from attrs import frozen
from torch import nn

from daframework.adapt.rehearsal import Noise, Translator
from daframework.build import SUPPLIED, make, required
from daframework.compute.randomness import global_seed
from daframework.errors import DafError, DataError, PluginError, one_line, unknown
from daframework.guard import guarded
from daframework.interfaces import Discriminator, Generator, ImageDataset, Loss, Task
from daframework.networks import DIRECTIONS
from daframework.registry import KINDS, Component, Origin, Plugins, clashes, components, fault_of, find, left_out
from daframework.testing import components as contracts
from daframework.testing.hooks import check_commands, check_listener

OK, BROKEN, NOT_CHECKED = "ok", "broken", "not checked"
_LEAST = 32  # pixels a side of what is given to a network that does not say how small an image may be
Make = Callable[..., Any]


class NotMadeError(DafError):
    """A component cannot be made without options, files, packages or weights, so there is nothing to check."""


@frozen
class Verdict:
    """What came of checking ``what``: `OK`, `BROKEN` or `NOT_CHECKED`, and ``why`` unless all is well."""

    state: str
    what: str
    why: str = ""


def check_component(
    component: Component,
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    generator: Callable[[], Generator] = Translator,
) -> None:
    """Make ``component`` with ``options``, and run all checks of its kind on it, with small images of three classes.

    Networks are tried at odd multiples of what they need, as trained, under bf16 autocast and on the meta device.
    ``generator`` makes the one that a loss is tried with.

    Raises:
        NotMadeError: it needs options that are not given, or files, packages or weights that are not there.
        PluginError: it does not keep its contract.
        DafError: its options are wrong, or a sample is.
        Exception: whatever the component raises.
    """
    made = partial(_made, component, options)
    with global_seed(0, "check"):
        match component.kind:
            case "generator":
                network = made()
                network.prepare(Noise(0), Noise(1))
                _check_at_sizes(contracts.check_generator, made, network, network.smallest)
            case "discriminator":
                _check_at_sizes(contracts.check_discriminator, made, made(), _LEAST)
            case "task":
                _check_at_sizes(contracts.check_task, made, made(), _LEAST)
            case "loss":
                _check_loss(made, generator)
            case "dataset":
                contracts.check_dataset(made())


def _made(component: Component, options: Mapping[str, Any], **supplied: Any) -> Any:
    needed = required(inspect.signature(component.factory, eval_str=True).parameters)
    missing = {name: one.annotation for name, one in needed.items() if name not in options and name not in SUPPLIED}
    # Of several words that are allowed, any one will do.
    chosen = {name: get_args(kind)[0] for name, kind in missing.items() if get_origin(kind) is Literal}
    if len(chosen) < len(missing):
        raise NotMadeError(f"it needs options of yours: {', '.join(missing)}")
    try:
        built = make(component, {**options, **chosen}, component.kind, num_classes=3, split="train", **supplied)
        if isinstance(built, ImageDataset):
            len(built)  # which may be the first to look for files
    except Exception as error:
        # Data, a package, a file or the network is not there.
        if isinstance(error, DataError) or isinstance(_first(error), ImportError | OSError):
            raise NotMadeError(str(error)) from error
        raise
    return built


def _first(error: BaseException) -> BaseException:
    """What an error came from."""
    return error if error.__cause__ is None else _first(error.__cause__)


def _check_at_sizes(
    check: Callable[..., None], made: Make, network: Generator | Discriminator | Task, least: int
) -> None:
    """At odd multiples of what it needs, ``least`` pixels or more."""
    classes = {} if isinstance(network, Generator) else {"num_classes": 3}
    fewest = -(-least // network.multiple)
    for rows, columns in ((fewest, fewest + 1), (fewest + 2, fewest + 1)):
        size = {"height": rows * network.multiple, "width": columns * network.multiple}
        for autocast in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                check(network, **size, **classes, batch_size=2)
    with torch.device("meta"):
        check(made(), **size, **classes)
    first, second = (one if isinstance(one, nn.Module) else one.model() for one in (network, made()))
    contracts.check_network(first, second, **size)


def _check_loss(made: Make, generator: Callable[[], Generator]) -> None:
    def both() -> tuple[Loss, Generator]:
        translator = generator()
        return made(generator=translator), translator

    check = partial(contracts.check_loss, num_classes=3, height=32, width=48)
    loss, translator = both()
    loss.prepare(Noise(0), Noise(1))
    check(loss, generator=translator)
    try:
        check(loss, generator=translator, directions=DIRECTIONS[:1])
    except PluginError as error:
        if "the recipe has no such generator" not in str(error):  # a loss may be for both directions alone
            raise
    both()[0].load_state_dict(loss.state_dict())
    with torch.device("meta"):
        loss, translator = both()
        check(loss, generator=translator)


def check_installed(plugins: Plugins, only: str | None = None) -> Iterator[Verdict]:
    """A verdict for each plugin that is broken, and for whatever the others offer, what is quickly checked first.

    ``only`` is a component as ``generator:resnet``, or a plugin or a distribution by its name. A listener is told of a
    made-up run where its plugin is named, and else is not checked, as it may tell others.

    Raises:
        PluginError: there is none of this name.
    """
    kind, _, name = (only or "").partition(":")
    if name:
        if kind not in KINDS:
            raise PluginError(f"{only}: {unknown('kind', kind, KINDS)}; write it as generator:resnet")
        yield _verdict(plugins, *_component(find(plugins, kind, name)))
        return
    origins = [one for one in plugins.origins.values() if only in (None, one.plugin, one.distribution)]
    if not origins:
        known = {name for one in plugins.origins.values() for name in (one.plugin, one.distribution)}
        raise PluginError("; note: ".join([unknown("plugin", only or "", known), *left_out(plugins)]))
    quick_first = ("dataset", "loss", "discriminator", "generator", "task")
    offered = [one for kind in quick_first for one in components(plugins, kind).values() if one.origin in origins]
    for line in chain(plugins.broken, *(clashes(plugins, kind) for kind in KINDS)):
        if only is None or any(str(one) in line for one in origins):
            yield Verdict(BROKEN, "plugin", line)
    for hook, check in (("daf_commands", check_commands), ("daf_listener", check_listener)):
        for implementation in getattr(plugins.manager.hook, hook).get_hookimpls():
            origin = plugins.origins[implementation.plugin_name]
            if origin not in origins:
                continue
            if check is check_listener and only is None:
                why = "it may tell others of the made-up run that it would be told of; name its plugin to check it"
                yield Verdict(NOT_CHECKED, f"{hook} of {origin}", why)
            else:
                yield _verdict(plugins, f"{hook} of {origin}", origin, partial(check, implementation.function))
    for component in offered:
        yield _verdict(plugins, *_component(component))


def _component(component: Component) -> tuple[str, Origin, Callable[[], None]]:
    title = f"{component.kind}:{component.name} of {component.origin}"
    return title, component.origin, partial(check_component, component)


def _verdict(plugins: Plugins, what: str, origin: Origin, check: Callable[[], None]) -> Verdict:
    try:
        with guarded(f"plugin {origin}", plugins.warn):
            check()
    except NotMadeError as error:
        return Verdict(NOT_CHECKED, what, one_line(error))
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything
        if isinstance(error, DafError):
            return Verdict(BROKEN, what, one_line(error))
        fault = fault_of(error)
        return Verdict(BROKEN, what, one_line(error, kind=True) + (f" ({fault})" if fault else ""))
    return Verdict(OK, what)
