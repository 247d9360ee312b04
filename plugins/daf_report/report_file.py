"""``report.html``: made from what lies in a folder, and written there unless somebody else's file has the name."""

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import define

from daframework.errors import DafError, RunError, needing, warn
from daframework.listener import Listener
from daframework.storage.files import write_text
from daframework.storage.run_folder import RunFolder
from daframework.suites.bench_folder import is_bench

_OURS = '<meta name="generator" content="daframework">'
_HEAD = 2000  # characters at the beginning of a file of ours, among which it says so


def html(folder: Path) -> str:
    """The page of the run or bench in ``folder``.

    Raises:
        RunError: it holds neither, or Jinja2 is not installed.
    """
    templates = _templates()
    from daf_report.bench_page import bench_page
    from daf_report.run_page import run_page

    if RunFolder(folder).recipe.exists():
        name, content = "run.html", run_page(folder)
    elif is_bench(folder):
        name, content = "bench.html", bench_page(folder)
    else:
        raise RunError(f"{folder} holds neither a run nor a bench; give a folder that daf run or daf bench has made")
    text: str = templates.get_template(name).render(page=content, ours=_OURS)
    return text


def write(folder: Path, *, overwrite: bool = False) -> Path:
    """Write the page into ``folder``; its path. A report that was there is replaced.

    Raises:
        RunError: there is another file of that name and not ``overwrite``, or as `html` and `write_text` do.
    """
    path = RunFolder(folder).report
    if not overwrite and path.exists() and not is_ours(path):
        raise RunError(f"{path} is there and no report of ours; move it away, or give --overwrite to replace it")
    write_text(path, html(folder))
    return path


def write_if_possible(folder: Path) -> None:
    """`write`, and a warning where it cannot be; nothing at all where Jinja2 is not installed."""
    if find_spec("jinja2") is None:
        return
    try:
        write(folder)
    except DafError as error:
        warn(f"no report: {error}")


@cache
def _templates() -> Any:
    with needing("a report needs Jinja2", extra="report"):
        from jinja2 import ChoiceLoader, Environment, PackageLoader
    loader = ChoiceLoader([PackageLoader("daf_report"), PackageLoader("daframework.report", "")])
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


def is_ours(path: Path) -> bool:
    """Whether a page of `write` lies at ``path``."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return _OURS in file.read(_HEAD)
    except OSError:
        return False


@define(eq=False)
class ReportListener(Listener):
    """Writes the report of the run in ``folder`` when it is finished."""

    folder: Path

    def end(self, results: Mapping[str, Any] | None) -> None:
        found, path = RunFolder(self.folder).results, RunFolder(self.folder).report
        if results is None or not found.exists():  # who stops a run does not wait for a page
            return
        if not path.exists() or path.stat().st_mtime_ns < found.stat().st_mtime_ns:  # else it was finished before
            write_if_possible(self.folder)
