"""``daf export``."""

import re
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from daframework.storage.completion import complete_rows, complete_runs

FORMATS = ("onnx", "torch-export", "safetensors")


def _models(context: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    own = [CompletionItem(name) for name in ("generator", "segmenter") if name.startswith(incomplete)]
    return own + complete_rows(context, option, incomplete)


def _size(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)[xX](\d+)", text.strip())
    if found is None or 0 in (size := (int(found[1]), int(found[2]))):
        raise click.BadParameter(f"must be height x width in pixels, as in 512x1024, got '{text}'")
    return size


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option("--format", "form", type=click.Choice(FORMATS), default="onnx", show_default=True, help="Kind of file.")
@click.option(
    "--model",
    default="generator",
    metavar="generator|segmenter|task|ROW",
    shell_complete=_models,
    show_default=True,
    help="The generator, the task model of the recipe's own row (by either name), or that of another row of the table.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; below RUN/export unless given.")
@click.option(
    "--size",
    metavar="HEIGHTxWIDTH",
    callback=_size,
    help="Export for images of this size alone, where a network cannot be exported for any.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file and its card if they are there already.")
def command(run: Path, form: str, model: str, out: Path | None, size: tuple[int, int] | None, overwrite: bool) -> None:
    """Write a network trained in the folder RUN to one file for other programs, with a model card beside it.

    The file is then opened and held against the network at several sizes; one that differs is not kept.
    """
    import daframework as daf
    from daf_export.exporting import export

    done = export(daf.open(run, device="cpu"), format=form, model=model, out=out, size=size, overwrite=overwrite)
    click.echo(f"{'size':>11}  {'largest difference':>18}  {'mean':>8}")
    for one in done.differences:
        click.echo(f"{'x'.join(map(str, one.size)):>11}  {one.largest:18.2g}  {one.mean:8.2g}")
    click.echo(f"allowed {done.bound}")
    click.echo(f"{done.path} ({done.path.stat().st_size / 2**20:.1f} MiB), its card in {done.card}")
