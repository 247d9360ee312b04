"""``daf init``."""

import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daframework.cli.options import PATH, complete_offered, installed_plugins
from daframework.errors import DataError, RecipeError, RunError, visible

if TYPE_CHECKING:
    from daframework.data.own_folders import Found, LabelFiles
    from daframework.recipes.tables import Recipe
    from daframework.registry import Plugins

_LONGEST = 256  # pixels of an image's longer side: minutes on a CPU
_MULTIPLE = 16
_TRAIN, _TESTS = "train", ("test", "val")


@click.command("init")
@click.argument("recipe", default="semantic_cyclegan", shell_complete=complete_offered)
@click.option("--source", type=PATH, metavar="DIR", help="Folder of labelled images to learn from.")
@click.option("--target", type=PATH, metavar="DIR", help="Folder of images of the domain to adapt to.")
@click.option("--labels", type=PATH, metavar="DIR", help="Folder of the source's labels, where it is another one.")
@click.option("--out", type=PATH, default=Path("mine.toml"), show_default=True, help="The file to write.")
def command(recipe: str, source: Path | None, target: Path | None, labels: Path | None, out: Path) -> None:
    """Write a recipe to edit: RECIPE with all that may be set in it, or the same on two folders of your own.

    With --source and --target it looks at the folders, finds images, labels and what is in them, and says so. Give the
    classes their names then. The target needs no labels; where it holds folders train and test, and test has labels,
    models are scored on those.
    """
    from daframework.recipes.draft import draft
    from daframework.recipes.read import locate, parse, read_toml
    from daframework.storage.files import write_text

    if (source is None) != (target is None) or (labels is not None and source is None):
        raise click.UsageError("--source and --target belong together, and --labels to them")
    if out.suffix != ".toml":
        raise click.BadParameter(f"a recipe is a .toml file, got '{out}'", param_hint="--out")
    if out.exists():
        raise RunError(f"{out} is there already; give another file with --out")
    plugins = installed_plugins()
    text = read_toml(locate(plugins, recipe))
    tables, keys = ({}, {}) if source is None or target is None else _own(source, target, labels)
    text = draft(text, out.stem, tables, keys)
    drafted = parse(tomllib.loads(text), str(out))  # before a file is left that does not work
    if tables or Path(recipe).is_file():  # those that plugins offer are sound
        _check(plugins, drafted, f"{out} is not written", own=bool(tables))
    write_text(out, text)
    after = "daf data check" if tables else "daf check"
    click.echo(visible(f"recipe {recipe} written to {out}; edit it, then: {after} {out}"))


def _check(plugins: "Plugins", drafted: "Recipe", where: str, *, own: bool) -> None:
    from daframework.build import make_task
    from daframework.runs.check import check

    if own and not (learned := make_task(plugins, drafted, 2).label_type).of_classes:
        why = f"only labels of classes are looked for, not '{learned.name}'"
        raise RecipeError(f"{where}: {why}; leave --source and --target out, and write it as docs/depth.md does")
    if (lacking := check(plugins, drafted, where)) and own:
        raise DataError("\n".join(f"{where}: {line}" for line in lacking))


def _own(source: Path, target: Path, labels: Path | None) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The tables of both domains, and what else follows from what is there."""
    if source.resolve() == target.resolve():
        raise DataError(f"--source and --target are one folder, {source}; the target is another look of the same world")
    ((split, found),) = _parts(source, labels, ()).items()
    if found.labels is None:
        raise DataError(f"{source / split}: has no folder of labels beside its images; name it with --labels")
    _tell("source", found)
    source_parts, parts = {split: found}, _parts(target)
    (split, train), *others = parts.items()
    _tell("target", train)
    tests = dict(sorted(others, key=lambda one: one[1].labels is None)[:1])
    for one, test in tests.items():
        _tell(f"target {one}", test)
    parts = {split: train} | tests
    meant = next((one.labels for one in tests.values()), None)
    oracle = meant is not None and train.labels is not None
    downstream = [] if oracle else ["oracle = false            # the target's training images have no labels"]
    if meant is None:
        downstream.append("score = false             # and none to score on")
        click.echo("nothing can be scored: the target has no labelled folder test or val beside a folder train")
    named = _classes([one for one in (found.labels, meant, train.labels if oracle else None) if one is not None])
    source_table = _domain(source, source_parts, found.labels, named)
    tables = {"source": source_table, "target": _domain(target, parts, meant, named), "data": _data(train)}
    return tables, {"downstream": downstream}


def _parts(folder: Path, labels: Path | None = None, tests: Sequence[str] = _TESTS) -> "dict[str, Found]":
    """What is in ``folder``: in its train and the ``tests`` beside it, or in such of its images; or all of it."""
    from daframework.data.own_folders import find_folders, look

    def given(split: str) -> Path | None:
        return labels / split if labels and (labels / split).is_dir() else None

    if (folder / _TRAIN).is_dir():
        there = [one for one in tests if (folder / one).is_dir()]
        return {_TRAIN: look(folder / _TRAIN, given(_TRAIN) or labels)} | {one: look(folder / one) for one in there}
    images, labels = find_folders(folder, labels)
    if not (images / _TRAIN).is_dir() or not any((images / one).is_dir() for one in _TESTS):
        return {"": look(folder, labels)}
    return {one: look(images / one, given(one)) for one in (_TRAIN, *tests) if (images / one).is_dir()}


def _tell(title: str, found: "Found") -> None:
    click.echo(visible(f"{title}: {found.count} images in {found.images}, {found.size[0]} x {found.size[1]} pixels"))
    if found.labels is not None:
        labels = found.labels
        what = labels.kind if labels.kind in ("ids", "colours") else f"ids in the {labels.kind} channel"
        values = " ".join(labels.written())
        click.echo(visible(f"  labels in {labels.folder}: {what} {values} ({labels.read} files were read)"))


def _classes(sets: "list[LabelFiles]") -> dict[str, str]:
    """A name for each value of the sets' labels; 255 is ignored, unless a set has but 0 beside it, as in a mask."""
    if len({one.kind == "colours" for one in sets}) > 1:
        raise DataError("labels of source and target are of two kinds, ids and colours; see docs/label_spaces.md")
    values = dict.fromkeys(value for one in sets for value in one.written())
    if values.keys() <= {"255"}:
        raise DataError(f"{sets[0].folder}: no pixel is labelled in the {sets[0].read} files read; 255 is ignored")
    held = [{*one.written()} for one in sets]
    masks = all(one <= {"0", "255"} or one <= {"0", "1"} for one in held) and {"0", "255"} in held
    if masks or values.keys() == {"0", "255"}:
        return {value: "background" if value == "0" else "foreground" for value in values}
    return {value: "ignore" if value == "255" else f"class_{value.replace(',', '_')}" for value in values}


def _domain(base: Path, parts: "dict[str, Found]", labels: "LabelFiles | None", named: dict[str, str]) -> str:
    """The lines of an image_folder for ``parts`` of ``base``, by the keys that docs/datasets/image_folder.md has."""
    first = next(iter(parts.values()))
    classes = list(dict.fromkeys(name for name in named.values() if name != "ignore"))
    lines: dict[str, object] = {"name": "image_folder", "root": str(base), "classes": classes}
    for key, split in zip(("train_folder", "test_folder"), parts, strict=False):
        if split:
            lines[key] = split
    splits = list(parts)
    lines["images_folder"] = _below(first.images, base, splits[0])
    if labels is not None:
        lines["labels_folder"] = _below(labels.folder, base, splits[-1])
        if labels.endings[0].lower() not in (".png", ".jpg", ".jpeg", ".bmp", ".webp"):
            lines["image_ending"] = labels.endings[0]
        lines["label_ending"] = labels.endings[1]
        for what, beginning in zip(("image", "label"), labels.beginnings, strict=True):
            if beginning:
                lines[f"{what}_beginning"] = beginning
        if labels.kind not in ("ids", "colours"):
            lines["channel"] = labels.kind
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in lines.items())
    if labels is None:
        return text
    meanings = ", ".join(f"{json.dumps(value)} = {json.dumps(name)}" for value, name in named.items())
    return f"{text}\n{'colours' if labels.kind == 'colours' else 'ids'} = {{ {meanings} }}"


def _below(folder: Path, base: Path, split: str) -> str:
    """``folder`` as seen from that of ``split`` or, where that is a folder within it, from ``base``."""
    if (base / split).is_dir():
        return Path(os.path.relpath(folder, base / split)).as_posix()
    steps = Path(os.path.relpath(folder, base)).parts
    return "/".join("{split}" if one == split else one for one in steps)


def _data(target: "Found") -> str:
    """Crops of the target's shape, of a size that minutes on a CPU are enough for."""
    scale = min(1.0, _LONGEST / max(target.size))
    size = [max(2, round(side * scale / _MULTIPLE)) * _MULTIPLE for side in target.size]
    return f"resize = {size}\ncrop_size = {size}\nbatch_size = 4"
