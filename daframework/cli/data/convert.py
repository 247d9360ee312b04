"""``daf data convert``."""

import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daframework.cli.data.options import overwrite_option, workers_option
from daframework.cli.options import installed_plugins

if TYPE_CHECKING:
    from daframework.cli.data.progress import FileProgress
    from daframework.data.convert import Conversion
    from daframework.registry import Plugins

_OTHERS = "others"


@click.command("convert")
@click.argument("labels", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--from", "from_ids", metavar="SPACE", help="The labels hold the ids of this label space.")
@click.option("--from-colours", metavar="SPACE", help="The labels hold the colours of this label space or TOML file.")
@click.option("--to", "to_space", metavar="SPACE", required=True, help="Write the ids of this label space.")
@click.option("--from-train-ids", is_flag=True, help="The labels hold the places of the classes, 0, 1, 2 ..., and 255.")
@click.option("--to-train-ids", is_flag=True, help="Write the places of the classes, and 255 for what is ignored.")
@click.option("--map", "own", multiple=True, metavar="CLASS=CLASS", help="What a class becomes, or ignore; repeatable.")
@click.option(
    "--ignore", "ignored", multiple=True, metavar="VALUE", help="An id, a colour R,G,B, or others. Repeatable."
)
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
    workers: int | None,
    overwrite: bool,
) -> None:
    """Write every label PNG below LABELS to OUT, under the same name, in the ids of another label space.

    A label space is one that a plugin offers (see daf data list) or a TOML file. A file with an id or colour that
    stands for no class is not written; --ignore 0,0,0 makes such pixels ignored, --ignore others all of them.
    """
    if (from_ids is None) == (from_colours is None):
        raise click.UsageError("give what the labels hold: either --from SPACE (ids) or --from-colours SPACE")
    if from_train_ids and from_ids is None:
        raise click.UsageError("--from-train-ids is about ids, and --from-colours reads colours")

    from daframework.cli.data.progress import FileProgress, make_console
    from daframework.cli.interrupt import stop_on_signal
    from daframework.data.convert import convert_file
    from daframework.data.outputs import planned_outputs
    from daframework.data.parallel import default_workers, in_parallel

    source = from_ids or from_colours or ""
    conversion, meaning = _conversion(
        installed_plugins(), source, to_space, own, ignored, (from_train_ids, to_train_ids), colours=from_ids is None
    )
    planned = planned_outputs(labels, out, Path, overwrite=overwrite, what="label", endings=(".png",))
    files, outputs = [file for file, _ in planned], [output for _, output in planned]
    written = done = 0
    unknown: Counter[int] = Counter()
    having: Counter[int] = Counter()
    with stop_on_signal() as stopping, FileProgress(make_console()) as progress:
        progress.begin("labels", len(files))
        convert = partial(convert_file, conversion, files, outputs)
        workers = default_workers() if workers is None else workers
        for done, one in enumerate(in_parallel(convert, range(len(files)), workers=workers), start=1):
            if one.problem is not None:
                progress.say(one.problem, "error")
            written += one.problem is None
            unknown.update(one.unknown)
            having.update(one.unknown.keys())
            progress.advance(done)
            if stopping():
                break
    _tell_unknown(progress, conversion, source, unknown, having)
    progress.say(f"{written:,} of {len(files):,} labels in {out}")
    if done < len(files):
        progress.say(f"stopped after {done:,} of {len(files):,}; add --overwrite to begin again")
        sys.exit(stopping.exit_code)
    if written < len(files):
        sys.exit(1)
    progress.say(f"as an image_folder they are read with: ids = {meaning}")


def _conversion(
    plugins: "Plugins",
    source: str,
    target: str,
    own: tuple[str, ...],
    ignored: tuple[str, ...],
    train_ids: tuple[bool, bool],
    *,
    colours: bool,
) -> "tuple[Conversion, str]":
    """What each value becomes, and what the ids that are written mean, as a recipe says it."""
    from daframework.data.convert import Conversion, colours_of, ids_of
    from daframework.data.spaces import IGNORE, class_table, label_space, label_spaces

    first, second = label_space(plugins, source), label_space(plugins, target)
    table = class_table(first.classes, second, label_spaces(plugins), _own(own), "--map")
    values = colours_of(first) if colours else ids_of(first, train_ids=train_ids[0])
    written = ids_of(second, train_ids=train_ids[1])
    numbers = {value: written[table.get(name, IGNORE)] for name, value in values.items()}
    for text in ignored:
        if text != _OTHERS:
            numbers[_value(text, colours=colours)] = written[IGNORE]
    rest = written[IGNORE] if _OTHERS in ignored else None
    by_id = sorted((number, name) for name, number in written.items())
    meaning = ", ".join(f'"{number}" = "{name}"' for number, name in by_id)
    return Conversion(numbers, colours, rest), f"{{ {meaning} }}"


def _own(pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"must be CLASS=CLASS, as in --map rider=person, got '{pair}'", param_hint="--map")
    return {name.strip(): meaning.strip() for name, _, meaning in (pair.partition("=") for pair in pairs)}


def _value(text: str, *, colours: bool) -> int:
    from daframework.data.convert import colour_code

    parts = [part.strip() for part in text.split(",")]
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= 5]
    if colours and len(numbers) == len(parts) == 3 and max(numbers) <= 255:
        return colour_code(*numbers)
    if not colours and len(numbers) == len(parts) == 1:
        return numbers[0]
    what = "a colour such as 0,0,0" if colours else "an id such as 255"
    raise click.BadParameter(f"must be {what}, or {_OTHERS}, got '{text}'", param_hint="--ignore")


def _tell_unknown(
    progress: "FileProgress", conversion: "Conversion", source: str, unknown: Counter[int], having: Counter[int]
) -> None:
    """Every value that stands for no class, the commonest first, with the number of files that have it."""
    from daframework.data.convert import value_name

    for value, pixels in unknown.most_common(20):
        name = value_name(value, colours=conversion.colours)
        progress.say(
            f"{name} is in {having[value]:,} files ({pixels:,} pixels) and stands for no class of '{source}'; "
            f"add --ignore {name} to ignore it, or give a label space that has it"
        )
    if len(unknown) > 20:
        progress.say(f"and {len(unknown) - 20:,} more: is this the right label space?")
