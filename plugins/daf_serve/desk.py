"""Where models are tried and reports made: one at a time, in a thread of its own; a few requests wait."""

import base64
import io
from asyncio import FIRST_COMPLETED, Future, Lock, create_task, get_running_loop, wait
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, field
from PIL import Image

from daf_serve.upload import decode
from daframework.errors import DafError, RunError, one_line, visible

if TYPE_CHECKING:
    from daframework.api import Run

MOST_WAITING = 4

CAPTIONS = {"image": "the image", "translation": "translated to the target's look"}
Job = tuple[Callable[[], Any], Callable[[Any, Exception | None], None]]


class BusyError(RunError):
    """Too many wait for their turn."""


class GoneError(Exception):
    """Whoever asked is there no more."""


@define
class Desk:
    """One turn at a time. Whoever works or waits has a place, under the name that it gave."""

    _places: list[str] = field(factory=list)
    _turn: Lock = field(factory=Lock)
    _jobs: SimpleQueue[Job] = field(factory=SimpleQueue)
    _thread: Thread | None = None

    @contextmanager
    def place(self, name: str) -> Iterator[None]:
        """Inside, the caller has a place.

        Raises:
            BusyError: too many wait already.
        """
        if len(self._places) > MOST_WAITING:
            raise BusyError(f"{MOST_WAITING} wait already; try again in a moment")
        self._places.append(name)
        try:
            yield
        finally:
            self._places.remove(name)

    def before(self, name: str) -> int:
        """How many have their places before the one of that name."""
        return self._places.index(name) if name in self._places else 0

    async def work(self, job: Callable[[], Any], gone: Future[Any] | None = None) -> Any:
        """What ``job`` gives, done in its turn in the desk's thread, which ends with the process whatever it is at.

        Raises:
            GoneError: ``gone`` came before its turn; a job that has begun is brought to its end.
        """
        turn = create_task(self._turn.acquire())
        await wait([turn] if gone is None else [turn, gone], return_when=FIRST_COMPLETED)
        if not turn.done():
            turn.cancel()
            raise GoneError
        try:
            return await self._done(job)
        finally:
            self._turn.release()

    async def _done(self, job: Callable[[], Any]) -> Any:
        loop = get_running_loop()
        done: Future[Any] = loop.create_future()

        def settle(result: Any, error: Exception | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        def tell(result: Any, error: Exception | None) -> None:
            with suppress(RuntimeError):  # the server has ended in the meantime
                loop.call_soon_threadsafe(settle, result, error)

        self._put(job, tell)
        return await done

    def prepare(self) -> None:
        """Import in the desk's thread what networks need: that takes seconds, which somebody else may have."""
        self._put(lambda: import_module("daframework.api"), lambda *_: None)

    def _put(self, *job: *Job) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._serve, daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def _serve(self) -> None:
        while True:
            job, tell = self._jobs.get()
            try:
                result = job()
            except Exception as error:  # of a stranger's model, anything
                tell(None, error)
            else:
                tell(result, None)
            del job, tell  # with the image, which would stay until the next


@define
class Models:
    """The networks of the run that was tried last: one run's at a time are in memory."""

    _folder: Path | None = None
    _run: "Run | None" = None

    def try_out(self, folder: Path, upload: io.BytesIO, row: str | None) -> dict[str, Any]:
        """What the models of the run in ``folder`` make of an image: pictures, a legend, and remarks.

        Raises:
            DafError: it is no image, or the run has no such models.
        """
        image, notes = decode(upload)
        from torch import stack

        from daframework import api

        if self._run is None or self._folder != folder:
            self._run = None  # before the next are loaded
            self._run, self._folder = api.open(folder), folder
        run = self._run
        shown = {"image": image} | ({} if run.recipe.generator is None else {"translation": run.translate(image)})
        pictures = [_picture(name, CAPTIONS[name], one) for name, one in shown.items()]
        said = {"pictures": pictures, "notes": notes, "legend": [], "laid": False}
        try:
            classes, palette = run.results.classes, run.palette
        except RunError:
            notes.append("its task models can be tried once the run is finished")
            return said
        found, kind = [run.predict(one, row) for one in shown.values()], run.task.label_type
        said["laid"] = kind.of_classes  # over the image; another label is a picture of its own
        if kind.of_classes:
            what, drawn = "classes", [_coloured(labels.numpy(), palette) for labels in found]
            counts = [labels.flatten().bincount(minlength=len(classes)).double() / labels.numel() for labels in found]
            said["legend"] = [
                {"name": visible(name), "colour": list(palette[place]), "shares": [float(one[place]) for one in counts]}
                for place, name in enumerate(classes)
            ]
        else:
            try:  # together: where colours go by the values, they mean the same in both
                pixels = kind.render(stack(found), ())
            except TypeError as error:
                notes.append(visible(str(error)))
                return said
            said["legend"] = [{"name": visible(name), "colour": colour} for name, colour in kind.key()]
            what, drawn = kind.name, [Image.fromarray(one.permute(1, 2, 0).contiguous().numpy()) for one in pixels]
        for name, one in zip(shown, drawn, strict=True):
            pictures.append(_picture(f"{name} label", f"{what} of the {name}", one))
        return said


def _coloured(labels: Any, palette: list[tuple[int, ...]]) -> Image.Image:
    picture = Image.fromarray(labels.astype(np.uint8), "P")
    picture.putpalette([part for colour in palette for part in colour])
    return picture


def _picture(key: str, caption: str, image: Image.Image) -> dict[str, Any]:
    written = io.BytesIO()
    image.save(written, "PNG", compress_level=1)
    url = f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
    return {"key": key, "caption": caption, "width": image.width, "height": image.height, "url": url}


def in_a_line(error: Exception) -> str:
    """What went wrong, as a page tells it."""
    if isinstance(error, DafError):
        return visible(one_line(error))
    from daframework.compute.memory import is_out_of_memory

    if is_out_of_memory(error):
        return "memory does not hold what the model makes of this image; try a smaller one"
    return visible(f"unexpected {one_line(error, kind=True)[:300]}")
