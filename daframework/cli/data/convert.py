"""``daf data convert``."""

import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import evolve

from daframework.cli.data.options import overwrite_option, workers_option
from daframework.cli.data.progress import FileProgress
from daframework.cli.interrupt import stop_on_signal
from daframework.cli.options import PATH, installed_plugins
from daframework.registry import Plugins

if TYPE_CHECKING:
    from daframework.data.conversion.labels import Conversion, Converted
    from daframework.data.label_files import Channel

_OTHERS = "others"
_TOLD = 20  # values that are told of one by one


@click.command("convert")
@click.argument("labels", type=PATH)
@click.argument("out", type=PATH)
@click.option("--from", "from_ids", metavar="SPACE", help="The labels hold the ids of this label space.")
@click.option("--from-colours", metavar="SPACE", help="The labels hold the colours of this label space or TOML file.")
@click.option("--to", "to_space", metavar="SPACE", required=True, help="Write the ids of this label space.")
@click.option("--from-train-ids", is_flag=True, help="The labels hold the places of the classes, 0, 1, 2 ..., and 255.")
@click.option("--to-train-ids", is_flag=True, help="Write the places of the classes, and 255 for what is ignored.")
@click.option("--map", "own", multiple=True, metavar="CLASS=CLASS", help="What a class becomes, or ignore; repeatable.")
@click.option("--ignore", "ignored", multiple=True, metavar="VALUE", help="An id, colour R,G,B, or others; repeatable.")
@click.option("--channel", type=click.Choice(["red", "green", "blue"]), help="The ids are in this channel, as CARLA's.")
@workers_option
@overwrite_option
def command(
    labels: Path,
    out: Path,
    from_ids: str | None,
    from_colours: str | None,
    to_space: str,
    from_train_ids: bool,
    to_train_ids: bool,
    own: tuple[str, ...],
    ignored: tuple[str, ...],
    channel: "Channel | None",
    workers: int | None,
    overwrite: bool,
) -> None:
    """Write every label PNG below LABELS to OUT, under the same name, in the ids of another label space.

    A label space is one that a plugin offers (see daf data list) or a TOML file. A file with an id or colour that
    stands for no class is not written; --ignore 0,0,0 makes such pixels ignored, --ignore others all of them.
    Transparent pixels are ignored. What was ignored, and the classes that no pixel has, are told at the end.
    """
    if (from_ids is None) == (from_colours is None):
        raise click.UsageError("give what the labels hold: either --from SPACE (ids) or --from-colours SPACE")
    for option, given in (("--from-train-ids", from_train_ids), ("--channel", channel)):
        if given and from_ids is None:
            raise click.UsageError(f"{option} is about ids, and --from-colours reads colours")

    from daframework.data.conversion.labels import convert_file
    from daframework.data.conversion.outputs import planned_outputs
    from daframework.data.parallel import in_parallel
    from daframework.report.table import make_console

    source = from_ids or from_colours or ""
    conversion, meaning = _conversion(
        installed_plugins(), source, to_space, own, ignored, (from_train_ids, to_train_ids), colours=from_ids is None
    )
    conversion = evolve(conversion, channel=channel)
    planned = planned_outputs(labels, out, Path, overwrite=overwrite, what="label", endings=(".png",))
    files, outputs = [file for file, _ in planned], [output for _, output in planned]
    written = done = 0
    found = _Found()
    with stop_on_signal() as stopping, FileProgress(make_console()) as progress:
        progress.begin("labels", len(files))
        convert = partial(convert_file, conversion, files, outputs)
        converted = in_parallel(convert, range(len(files)), workers=workers, stopping=stopping)
        for done, one in enumerate(converted, start=1):
            if one.problem is not None:
                progress.say(one.problem, "error")
            written += one.problem is None
            found.add(one)
            progress.advance(done)
    _tell(progress, conversion, source, found, complete=done == len(files))
    progress.say(f"{written:,} of {len(files):,} labels in {out}")
    if done < len(files):
        progress.say(f"stopped after {done:,} of {len(files):,}; add --overwrite to begin again")
        sys.exit(stopping.exit_code)
    if written < len(files):
        sys.exit(1)
    progress.say(f"as an image_folder they are read with: ids = {meaning}")


def _conversion(
    plugins: Plugins,
    source: str,
    target: str,
    own: tuple[str, ...],
    ignored: tuple[str, ...],
    train_ids: tuple[bool, bool],
    *,
    colours: bool,
) -> "tuple[Conversion, str]":
    """What each value becomes, and what the ids that are written mean, as a recipe says it."""
    from daframework.data.conversion.labels import Conversion, ids_of
    from daframework.data.spaces import IGNORE, class_table, colours_of, label_space, label_spaces

    first, second = label_space(plugins, source), label_space(plugins, target)
    table = class_table(first.classes, second, label_spaces(plugins), _own(own), "--map")
    values = colours_of(first) if colours else ids_of(first, train_ids=train_ids[0])
    written = ids_of(second, train_ids=train_ids[1])
    numbers = {value: written[table.get(name, IGNORE)] for name, value in values.items()}
    for text in ignored:
        if text != _OTHERS:
            numbers[_value(text, colours=colours)] = written[IGNORE]
    names = {value: name for name, value in values.items() if name != IGNORE}
    by_id = sorted((number, name) for name, number in written.items())
    meaning = ", ".join(f'"{number}" = "{name}"' for number, name in by_id)
    return Conversion(numbers, names, written[IGNORE], colours, ignore_others=_OTHERS in ignored), f"{{ {meaning} }}"


def _own(pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"must be CLASS=CLASS, as in --map rider=person, got '{pair}'", param_hint="--map")
    return {name.strip(): meaning.strip() for name, _, meaning in (pair.partition("=") for pair in pairs)}


def _value(text: str, *, colours: bool) -> int:
    from daframework.data.label_files import parse_colour, parse_id

    try:
        return parse_colour(text) if colours else parse_id(text)
    except ValueError as error:
        what = "a colour such as 0,0,0" if colours else "an id such as 255"
        raise click.BadParameter(f"must be {what}, or {_OTHERS}, got '{text}'", param_hint="--ignore") from error


class _Found:
    """How many pixels, and files, have each value that stands for a class, and each that does not."""

    def __init__(self) -> None:
        self.known: Counter[int] = Counter()
        self.unknown: Counter[int] = Counter()
        self.having: Counter[int] = Counter()

    def add(self, one: "Converted") -> None:
        self.known.update(one.known)
        self.unknown.update(one.unknown)
        self.having.update([*one.known, *one.unknown])

    def told(self, value: int) -> str:
        return f"{self.having[value]:,} files ({self.known[value] or self.unknown[value]:,} pixels)"


def _tell(progress: FileProgress, conversion: "Conversion", source: str, found: _Found, *, complete: bool) -> None:
    """Every value that stands for no class, the commonest first; transparent pixels; classes without a pixel."""
    from daframework.data.label_files import TRANSPARENT, near_colour, value_name

    told = [(value_name(value, colours=conversion.colours), value) for value, _ in found.unknown.most_common(_TOLD)]
    near = {name: near_colour(value, conversion.names) if conversion.colours else "" for name, value in told}
    others = len(found.unknown) - len(told)
    pixels = found.unknown.total() - sum(found.unknown[value] for _, value in told)
    more = f"and {others:,} more ({pixels:,} pixels): is this the right label space?"
    if told and conversion.ignore_others:
        shown = ", ".join(f"{name} in {found.told(value)}" for name, value in told)
        progress.say(f"ignored, as no class of '{source}': {shown}{f' {more}' if others else ''}", "warning")
        for line in filter(None, near.values()):
            progress.say(f"{line}, and was ignored", "warning")
    elif told:
        for name, value in told:
            progress.say(
                f"{name} is in {found.told(value)} and stands for no class of '{source}'; {near[name]}"
                f"{'; ' if near[name] else ''}add --ignore {name} to ignore it, --ignore {_OTHERS} to ignore all such, "
                "or give a label space that has it"
            )
        if others:
            progress.say(more)
    if pixels := found.known[TRANSPARENT]:
        progress.say(f"{pixels:,} transparent pixels in {found.having[TRANSPARENT]:,} files were ignored")
    unused = [
        f"{name} ({value_name(value, colours=conversion.colours)})"
        for value, name in conversion.names.items()
        if not found.known[value]
    ]
    if unused and complete:
        classes = len(conversion.names)
        progress.say(f"{len(unused)} of {classes} classes of '{source}' have no pixel: {', '.join(unused)}", "warning")
