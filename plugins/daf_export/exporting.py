"""Export a network of a run, check the file, and put it in its place with a card; and read weights back."""

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from attrs import frozen
from torch import nn

from daf_export.exportable import GENERATOR, exportable
from daf_export.formats import FORMATS, example_size, open_safetensors
from daf_export.model_card import card
from daf_export.parity import BOUNDS, Bound, SizeDifference, check_parity
from daframework.errors import DataError, needing, unknown, writing

if TYPE_CHECKING:
    from daframework import Run


@frozen
class Exported:
    """The file, its card, what it says of itself, and how far it is from the network at each size that was tried."""

    path: Path
    card: Path
    metadata: dict[str, str]
    differences: tuple[SizeDifference, ...]
    bound: Bound


def export(
    run: "Run",
    *,
    format: str = "onnx",
    model: str = GENERATOR,
    out: str | Path | None = None,
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a network of a finished run to one file, ``RUN/export/<model>.<ending>`` unless ``out`` is given.

    ``format`` is "onnx", "torch-export" or "safetensors"; ``model`` is "generator", "segmenter" or "task", or a row of
    the run's table. The file takes images of any ``multiple`` of height and width, or of ``size`` alone. It is opened
    again and compared with the network at several sizes, on even and photograph-like images, before it takes its place.

    Raises:
        RunError: the run is not finished, the extra is missing, its network cannot be exported so, or the file would
            not compute the same.
        DataError: the file is there already, or cannot be written.
        PluginError: the generator draws at random or has several versions.
    """
    if format not in FORMATS:
        raise DataError(unknown("format", format, FORMATS))
    kind = FORMATS[format]
    _need(kind.needs, format)
    one = exportable(run, model, size)
    path = Path(out) if out is not None else run.folder / "export" / f"{one.name}{kind.suffix}"
    if path.suffix != kind.suffix:
        raise DataError(f"{path}: a file of format {format} must end with {kind.suffix}")
    beside = path.with_name(f"{path.name}.md")
    for file in (path, beside):
        if file.is_dir():
            raise DataError(f"{file}: is a folder, where a file is to be written; write to another one")
        if file.exists() and not overwrite:
            raise DataError(f"{file} is there already; add --overwrite to replace it")
    with writing(path, DataError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Here, and not in the system's own folder: it fails now where it would at the end, and moving is a rename.
        with TemporaryDirectory(prefix=".export", dir=path.parent) as folder:
            made = Path(folder) / path.name
            taken = kind.write(one, made)
            differences = tuple(check_parity(taken, kind.open(made), example_size(taken)))
            metadata = taken.metadata()
            made.with_name(beside.name).write_text(card(run, taken, format, path.name, differences), encoding="utf-8")
            made.with_name(beside.name).replace(beside)
            made.replace(path)
    return Exported(path, beside, metadata, differences, BOUNDS[taken.kind])


def load(path: str | Path) -> nn.Module:
    """The network whose weights `export` wrote as safetensors, in eval mode on the CPU: images in [-1, 1].

    Raises:
        DafError: the file holds no such weights, or the plugin that builds their network is missing.
    """
    _need(FORMATS["safetensors"].needs, "safetensors")
    return open_safetensors(Path(path))


def _need(packages: tuple[str, ...], format: str) -> None:
    for package in packages:
        with needing(f"format {format} needs {package}", extra="export"):
            import_module(package)
