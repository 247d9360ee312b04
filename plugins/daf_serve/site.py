"""The pages, by their addresses. A run or bench is named by its path inside the folder shown: ``/run?at=cut/seed0``."""

import io
import re
from asyncio import ensure_future, timeout, to_thread
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote

from attrs import evolve, frozen
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from daf_serve import upload
from daf_serve.compared import compare
from daf_serve.desk import BusyError, Desk, GoneError, Models, in_a_line
from daf_serve.doorman import POLICY, Doorman
from daf_serve.finder import DAMAGED, FINISHED, RUNNING, Listed, find, look, recipe_of, resolve, results_of
from daf_serve.follow import events
from daf_serve.reports import Reports
from daframework.errors import DafError, RunError, visible
from daframework.scores import SEGMENTATION, Metric, metrics_from_json
from daframework.storage.results import Results
from daframework.storage.row_names import training_of
from daframework.storage.run_folder import RunFolder
from daframework.suites.bench_folder import bench_tables

_SECONDS = 60  # for an upload to arrive
_SHARED = "page_parts.js"  # which reports hold too
_ASSETS = {".css": "text/css", ".js": "text/javascript"}  # whatever the machine takes these endings for
_REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; frame-ancestors 'none'"
)
"""A report is one file with its scripts inside. It may run them, as a page of nobody's that can ask for nothing."""


def make_site(root: Path, is_ours: Callable[[str], bool]) -> ASGIApp:
    """The pages of what lies in ``root``, for requests whose host ``is_ours``."""
    desk = Desk()
    pages = Pages(root, _templates(root), desk, Models(), Reports(desk))
    routes = [
        Route("/", pages.front),
        Route("/run", pages.run),
        Route("/bench", pages.bench),
        Route("/compare", pages.compare),
        Route("/report", pages.report),
        Route("/events", pages.events),
        Route("/sample", pages.sample),
        Route("/try", pages.try_page),
        Route("/try", pages.try_out, methods=["POST"]),
        Route("/waiting", pages.waiting),
        Route("/assets/{name}", pages.asset),
    ]
    failures = {DafError: pages.failed, 404: pages.missing}
    return Starlette(routes=routes, exception_handlers=failures, middleware=[Middleware(Doorman, is_ours=is_ours)])


@frozen
class Pages:
    """The pages of what lies below ``root``."""

    root: Path
    templates: Environment
    desk: Desk
    models: Models
    reports: Reports

    async def front(self, request: Request) -> Response:
        found = sorted(await to_thread(find, self.root, self.root), key=lambda one: one.state != RUNNING)
        benches = [one for one in found if one.kind == "bench"]
        groups: dict[Listed | None, list[Listed]] = {}
        for run in (one for one in found if one.kind == "run"):
            groups.setdefault(_bench_of(run, benches), []).append(run)
        benches = [evolve(one, progress=_finished(groups.get(one, []))) for one in benches]
        return self._page("front.html", groups=[*groups.items()], benches=benches)

    async def run(self, request: Request) -> Response:
        folder, found, results = await self._look(_text(request, "at"))
        text = folder.recipe.read_text(encoding="utf-8", errors="replace") if folder.recipe.is_file() else ""
        return self._page("run.html", found=found, results=results, recipe=text, samples=folder.sampled_steps())

    async def bench(self, request: Request) -> Response:
        folder, found, _ = await self._look(_text(request, "at"))
        tables = await to_thread(bench_tables, folder.path) if found.score is not None else []
        shown = [(metrics_from_json(table.get("metrics"))[0], table) for table in tables]
        runs = [one for one in await to_thread(find, self.root, folder.path) if one.kind == "run"]
        return self._page("bench.html", found=found, tables=shown, runs=runs)

    async def compare(self, request: Request) -> Response:
        asked = [*dict.fromkeys(_asked(request, "at"))]
        if len(asked) != 2:
            line = f"two runs can be compared, and {len(asked)} are chosen; tick two in the list of runs"
            return self._page("failed.html", status=400, line=line)
        folders, found, results = zip(*[await self._look(where) for where in asked], strict=True)
        recipes = [await to_thread(recipe_of, folder) for folder in folders]
        sheets = [folder.sampled_steps() for folder in folders]
        return self._page("compare.html", found=found, samples=sheets, made=compare(recipes, results))

    async def report(self, request: Request) -> Response:
        folder = await self._folder(request)
        page, headers = await self.reports.of(folder.path), {POLICY: _REPORT_POLICY}
        if page is None:
            return self._page("making.html", status=202)
        if isinstance(page, str):
            return HTMLResponse(page, headers=headers)
        return FileResponse(page, headers=headers, media_type="text/html")

    async def events(self, request: Request) -> Response:
        folder = await self._folder(request)
        return StreamingResponse(events(self.root, folder.path), media_type="text/event-stream")

    async def sample(self, request: Request) -> Response:
        folder = await self._folder(request)
        step = _text(request, "step")
        if not step.isdecimal() or int(step) not in folder.sampled_steps():
            raise RunError("there is no such sheet of samples")
        return FileResponse(folder.sample(int(step)), media_type="image/png")

    async def try_page(self, request: Request) -> Response:
        folder, found, results = await self._look(_text(request, "at"))
        self.desk.prepare()
        rows = [] if results is None else [row.method for row in results.rows]
        own = results.own_row if rows and results is not None else ""
        segments = results is None or results.metrics == SEGMENTATION
        limits = {"bytes": upload.MOST_BYTES, "pixels": upload.MOST_PIXELS}
        recipe = None if found.state == DAMAGED else recipe_of(folder)
        return self._page("try.html", found=found, recipe=recipe, rows=rows, own=own, segments=segments, limits=limits)

    async def try_out(self, request: Request) -> Response:
        try:
            folder = await self._folder(request)
            row = _text(request, "row") or None
            if int(request.headers.get("content-length") or 0) > upload.MOST_BYTES:
                raise LargeError
            with self.desk.place(_text(request, "ticket")):
                image = await _received(request)
                gone = ensure_future(request.receive())  # nothing else comes any more
                said = await self.desk.work(lambda: self.models.try_out(folder.path, image, row), gone)
                return JSONResponse(said)
        except LargeError:
            return JSONResponse({"error": _TOO_LARGE}, 413)
        except (ClientDisconnect, GoneError, TimeoutError):
            return JSONResponse({"error": f"the image did not arrive within {_SECONDS} seconds; send it again"}, 408)
        except BusyError as error:
            return JSONResponse({"error": in_a_line(error)}, 503)
        except Exception as error:  # a stranger's model may raise anything
            return JSONResponse({"error": in_a_line(error)})  # an answer to the page, which shows it

    async def waiting(self, request: Request) -> Response:
        return JSONResponse(self.desk.before(_text(request, "ticket")))

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        file = files("daframework.report") / name if name == _SHARED else files("daf_serve") / "assets" / name
        kind = _ASSETS.get(PurePosixPath(file.name).suffix)
        if kind is None or not file.is_file():
            return await self.missing(request, None)
        return Response(file.read_bytes(), media_type=kind)

    async def failed(self, request: Request, error: Exception) -> Response:
        return self._page("failed.html", status=404, line=in_a_line(error))

    async def missing(self, request: Request, error: Exception | None) -> Response:
        return self._page("failed.html", status=404, line="there is no such page")

    async def _folder(self, request: Request) -> RunFolder:
        """The run or bench that a request names."""
        return RunFolder(await to_thread(resolve, self.root, _text(request, "at")))

    async def _look(self, where: str) -> tuple[RunFolder, Listed, Results | None]:
        """The run or bench at ``where``, how far it is, and the results of a run that is finished."""
        folder = RunFolder(await to_thread(resolve, self.root, where))
        found = await to_thread(look, self.root, folder.path)
        is_over = found.kind == "run" and found.state == FINISHED
        return folder, found, await to_thread(results_of, folder) if is_over else None

    def _page(self, name: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self.templates.get_template(name).render(values), status)


class LargeError(Exception):
    """More was sent than is taken."""


_TOO_LARGE = f"this file is larger than {upload.MOST_BYTES // 2**20} MiB; shrink the image, or use daf translate"


async def _received(request: Request) -> io.BytesIO:
    """What is sent, no more than is allowed.

    Raises:
        LargeError: it is more; the rest is not read.
        TimeoutError: it does not arrive.
    """
    body = io.BytesIO()
    async with timeout(_SECONDS):
        async for piece in request.stream():
            if body.tell() + len(piece) > upload.MOST_BYTES:
                raise LargeError
            body.write(piece)
    body.seek(0)
    return body


def _asked(request: Request, name: str) -> list[str]:
    """The values of a query's key; paths need not be UTF-8."""
    query = request.scope["query_string"].decode("latin-1")
    return parse_qs(query, keep_blank_values=True, errors="surrogateescape").get(name, [])


def _text(request: Request, name: str) -> str:
    """The value of a query's key; nothing where it has none."""
    return "".join(_asked(request, name))


def _templates(root: Path) -> Environment:
    loader = PackageLoader("daf_serve", "pages")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals["root"] = visible(str(root))
    made.filters |= {"told": _told, "difference": partial(_told, signed=True), "heading": _heading, "broken": _broken}
    made.filters |= {"visible": visible, "training": training_of, "utc": partial(datetime.fromtimestamp, tz=UTC)}
    made.filters["at"] = partial(quote, safe="/", errors="surrogateescape")
    return made


def _bench_of(run: Listed, benches: Sequence[Listed]) -> Listed | None:
    """The innermost of ``benches`` in which it lies."""
    around = [one for one in benches if PurePosixPath(one.where) in PurePosixPath(run.where).parents]
    return max(around, key=lambda one: len(PurePosixPath(one.where).parts), default=None)


def _finished(own: Sequence[Listed]) -> str:
    """How many of a bench's runs are; all that are planned stand in its log only."""
    done = sum(run.state == FINISHED for run in own)
    return f"{done} of the {len(own)} runs begun are finished" if done < len(own) else ""


def _told(value: float | None, metric: Metric, *, signed: bool = False) -> str:
    return "\N{EN DASH}" if value is None else metric.text(value, signed=signed).replace("-", "\N{MINUS SIGN}")


def _heading(metric: Metric) -> str:
    """``mIoU, %``"""
    return visible(f"{metric.title}, {metric.unit}" if metric.unit else metric.title)


def _broken(path: str) -> Markup:
    """A path that may go on in the next line after its separators."""
    return Markup(re.sub("([/_])", r"\1<wbr>", str(escape(path))))
