"""``daf data check``."""

import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve
from rich import box
from rich.table import Table
from rich.text import Text

from daframework.cli.data.options import Request, json_option, request_arguments, workers_option, write_json
from daframework.cli.data.progress import FileProgress
from daframework.cli.interrupt import stop_on_signal
from daframework.cli.options import installed_plugins
from daframework.compute.signals import Signals
from daframework.errors import DataError, visible
from daframework.registry import Plugins

if TYPE_CHECKING:
    from daframework.cli.data.parts import DomainPart
    from daframework.data.checks.audit import Audited, SetAudit


@click.command("check")
@request_arguments
@workers_option
@click.option("--images-only", is_flag=True, help="Look at no label, as of a target that has none.")
@json_option
def command(request: Request, workers: int | None, images_only: bool, json_to: str | None) -> None:
    """Check every file of RECIPE's domains, or of both splits of the dataset NAME in the folder ROOT.

    Every file is decoded; images and labels are paired and of one size, ids known, no image is smaller than RECIPE's
    crop; images that training and test share are found by their pixels. Everything that is wrong is a line. Exit code
    1 if there is an error; warnings are none.
    """
    from daframework.report.table import make_console

    request.refuse_existing(json_to)
    # The torch behind the datasets takes seconds to import.
    progress = FileProgress(make_console(stderr=json_to == "-"))
    progress.say(f"checking {request}")
    with stop_on_signal() as stopping, progress:
        findings = _Findings(progress)
        parts = _open(installed_plugins(), request, images_only, findings)
        sets = [(part, _check_part(part, workers, findings, stopping)) for part in parts if not stopping()]
        if not stopping():
            _compare(sets, findings)
    stopped = stopping()
    if sets:
        progress.console.print(_table(sets, findings))
    if json_to is not None:
        content = {
            "complete": not stopped,
            "errors": findings.errors,
            "warnings": findings.warnings,
            "sets": [_described(part, found) for part, found in sets],
            "problems": findings.lines,
        }
        write_json(json_to, content)
    images = sum(audit.read for _, audit in sets)
    if stopped:
        total = sum(len(part.dataset) for part in parts)
        progress.say(f"stopped after {images:,} of {total:,} images: {findings.summary()} so far")
        sys.exit(stopping.exit_code)
    progress.say(f"{images:,} images: {findings.summary()}")
    if findings.errors:
        sys.exit(1)


class _Findings:
    """Everything that was found: printed at once, counted, and kept for the JSON."""

    def __init__(self, progress: FileProgress) -> None:
        self.progress = progress
        self.lines: list[dict[str, str | None]] = []
        self.errors = 0

    def add(self, level: str, part: str, message: str, image: str | None = None) -> None:
        self.progress.say(message, level)
        self.lines.append({"level": level, "set": part, "image": image, "message": message})
        self.errors += level == "error"

    @property
    def warnings(self) -> int:
        return len(self.lines) - self.errors

    def summary(self) -> str:
        return f"{self.errors:,} error{'s' * (self.errors != 1)}, {self.warnings:,} warning{'s' * (self.warnings != 1)}"


def _open(plugins: Plugins, request: Request, images_only: bool, findings: _Findings) -> "list[DomainPart]":
    """What is to be checked; what cannot be opened is an error among the others."""
    from daframework.cli.data.parts import SPLITS, find_recipe, open_dataset, open_domains
    from daframework.data.checks.duplicates import same_files

    recipe = find_recipe(plugins, request)
    parts: list[DomainPart] = []
    if recipe is not None:
        parts, problems = open_domains(plugins, recipe)
        for problem in problems:
            findings.add("error", request.what, problem)
    else:
        for split in SPLITS:
            try:
                parts.append(open_dataset(plugins, request, split))
            except DataError as error:
                findings.add("error", f"{request.what} {split}", str(error))
    if len(parts) > 1 and parts[-2].domain == parts[-1].domain and same_files(parts[-2].dataset, parts[-1].dataset):
        # A model is scored on the target's test set; a dataset that is only a source never uses its own.
        level = "warning" if recipe is None else "error"
        first, second = parts[-2:]
        same = f"the same {len(second.dataset):,} files as {first.title}"
        parts[-2:] = [evolve(first, split="train and test", labelled=first.labelled or second.labelled)]
        findings.add(level, parts[-1].title, f"{second.title}: {same}; {_APART}")
    return [evolve(part, labelled=False) for part in parts] if images_only else parts


_APART = "give each split files of its own, by the dataset's options, if models are to be scored on it"


def _check_part(part: "DomainPart", workers: int | None, findings: _Findings, stopping: Signals) -> "SetAudit":
    """Look at every image of one set, until asked to stop."""
    from daframework.data.checks.audit import SetAudit, audit, turned_differently
    from daframework.data.parallel import in_parallel

    dataset, progress = part.dataset, findings.progress
    progress.begin(part.title, len(dataset))
    if not len(dataset):
        findings.add("error", part.title, f"{part.title}: holds no image; check its folder and options")
    found = SetAudit(tuple(dataset.classes))
    for line in dataset.problems(labelled=part.labelled):
        findings.add("error", part.title, line)
    look = partial(audit, dataset, part.labelled, types=part.types, task=part.task)
    for one in in_parallel(look, range(len(dataset)), workers=workers, stopping=stopping):
        found.add(one)
        for level, lines in (("error", (*one.errors, *_too_small(part, one))), ("warning", one.warnings)):
            for line in lines:
                findings.add(level, part.title, line, one.where)
        progress.advance(found.read)
    if stopping():
        return found
    if found.turned:
        findings.add("warning", part.title, turned_differently(part.title, found.turned))
    if found.doubts:
        more = f" (and of {len(found.doubts) - 1:,} more files)" if len(found.doubts) > 1 else ""
        findings.add("warning", part.title, f"{part.title}: {found.doubts[0]}{more}")
    if found.never:
        occur = "occurs" if len(found.never) == 1 else "occur"
        never = f"{', '.join(found.never)} never {occur} in its {found.labels:,} labels"
        findings.add("warning", part.title, f"{part.title}: {never}; nothing can be learned or scored there")
    return found


def _too_small(part: "DomainPart", found: "Audited") -> list[str]:
    if found.size is None or all(side >= least for side, least in zip(found.size, part.crop_size, strict=True)):
        return []
    size, crop = ("{} x {}".format(*size) for size in (found.size, part.crop_size))
    what = f"{size} pixels (height x width), smaller than data.crop_size, {crop}"
    return [f"{found.where}: {what}; take it away, lower the crop or set data.resize"]


def _compare(sets: "list[tuple[DomainPart, SetAudit]]", findings: _Findings) -> None:
    from daframework.data.checks.duplicates import Contents, find_duplicates

    contents = [Contents(part.title, "test" in part.split, found.contents) for part, found in sets]
    for level, lines in zip(("error", "warning"), find_duplicates(contents), strict=True):
        for title, line in lines:
            findings.add(level, title, line)


def _table(sets: "list[tuple[DomainPart, SetAudit]]", findings: _Findings) -> Table:
    """A column a set, which three of them leave room for in a narrow terminal."""
    count = Counter((line["set"], line["level"]) for line in findings.lines)
    columns = [
        {
            "images": f"{found.read:,}",
            "labels": _labels(part, found),
            "height x width": _size(found),
            "mean RGB": _channels(found.mean),
            "contrast RGB": _channels(found.contrast),
            "classes seen": f"{len(found.classes) - len(found.never)} of {len(found.classes)}" if found.labels else "-",
            "errors": f"{count[part.title, 'error']:,}",
            "warnings": f"{count[part.title, 'warning']:,}",
        }
        for part, found in sets
    ]
    table = Table("", box=box.SIMPLE)
    for part, _ in sets:
        table.add_column(Text(part.title))
    for head in columns[0]:
        table.add_row(head, *(column[head] for column in columns))
    return table


def _labels(part: "DomainPart", found: "SetAudit") -> str:
    """How many are sound of each type that the set has; those of other types than classes with its name."""
    from daframework.label_types import SEMANTIC

    if not part.labelled and part.dataset.labels:
        return "not read"
    counts = {name: f"{found.others[name]:,} {visible(name)}" for name in part.dataset.labels}
    if SEMANTIC.name in counts:
        counts[SEMANTIC.name] = f"{found.labels:,}"
    return ", ".join(counts.values()) or "none"


def _size(found: "SetAudit") -> str:
    if len(found.sizes) == 1:
        return "{} x {}".format(*next(iter(found.sizes)))
    return f"{len(found.sizes):,} sizes" if found.sizes else "-"


def _channels(values: list[float] | None) -> str:
    return "-" if values is None else " ".join(f"{value:.0f}" for value in values)


def _described(part: "DomainPart", found: "SetAudit") -> dict[str, Any]:
    return {
        "set": part.title,
        "images": len(part.dataset),
        "read": found.read,
        "labels": found.labels if part.labelled else None,
        "other_labels": found.others if part.labelled else None,
        "sizes": [[height, width, images] for (height, width), images in found.sizes.items()],
        "mean": found.mean,
        "contrast": found.contrast,
        "classes": {
            name: {"pixels": pixels, "images": shown}
            for name, pixels, shown in zip(found.classes, found.pixels, found.shown, strict=True)
        },
        "never": found.never,
    }
