"""Where models are tried and reports made: one at a time, in a thread of its own; a few requests wait."""

import base64
import io
from asyncio import FIRST_COMPLETED, Future, wait, wrap_future
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field
from PIL import Image

from daf_serve.upload import decode
from daframework.errors import DafError, RunError, one_line, visible

if TYPE_CHECKING:
    from daframework.api import Run

MOST_WAITING = 4

CAPTIONS = {"image": "the image", "translation": "translated to the target's look"}


class BusyError(RunError):
    """Too many wait for their turn."""


class GoneError(Exception):
    """Whoever asked is there no more."""


@define
class Desk:
    """One turn at a time. Whoever works or waits has a place, under the name that it gave."""

    _places: list[str] = field(factory=list)
    _thread: ThreadPoolExecutor = field(factory=partial(ThreadPoolExecutor, max_workers=1))

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
        """What ``job`` gives, done in its turn in the desk's thread.

        Raises:
            GoneError: ``gone`` came before its turn; a job that has begun is brought to its end.
        """
        asked = self._thread.submit(job)
        done = wrap_future(asked)
        await wait([done] if gone is None else [done, gone], return_when=FIRST_COMPLETED)
        if asked.cancel():
            raise GoneError
        return await done

    def prepare(self) -> None:
        """Import in the desk's thread what networks need: that takes seconds, which somebody else may have."""
        self._thread.submit(import_module, "daframework.api")


@define
class Models:
    """The networks of the run that was tried last: one run's at a time are in memory."""

    _files: "object" = None
    _run: "Run | None" = None

    def try_out(self, folder: Path, upload: io.BytesIO, row: str | None) -> dict[str, Any]:
        """What the models of the run in ``folder`` make of an image: pictures, a legend, and remarks.

        Raises:
            DafError: it is no image, or the run has no such models.
        """
        image, notes = decode(upload)
        from torch import stack

        from daframework import api

        # The same path may hold another run by now, or one whose rows were trained anew.
        files = [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(folder.glob("**/*.pt"))]
        if self._run is None or self._files != (folder, files):
            self._run = None  # before the next are loaded
            self._run, self._files = api.open(folder), (folder, files)
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
        try:  # together: where colours go by the values, they mean the same in both
            drawn = kind.render(stack(found), [(red, green, blue) for red, green, blue in palette])
        except TypeError as error:
            notes.append(visible(str(error)))
            return said
        said["legend"] = [{"name": visible(name), "colour": colour} for name, colour in kind.key()]
        if kind.of_classes:
            counts = [labels.flatten().bincount(minlength=len(classes)).double() / labels.numel() for labels in found]
            said["legend"] = [
                {"name": visible(name), "colour": list(palette[place]), "shares": [float(one[place]) for one in counts]}
                for place, name in enumerate(classes)
            ]
        what = "classes" if kind.of_classes else kind.name
        for name, pixels in zip(shown, drawn, strict=True):
            label = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
            pictures.append(_picture(f"{name} label", f"{what} of the {name}", label))
        return said


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
