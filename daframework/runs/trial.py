"""Try a network of a recipe at every size that a run will give it, where nothing is computed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import signature
from typing import Any

import torch
from attrs import define, evolve, field, frozen
from torch import Tensor, nn

from daframework.build import first_line
from daframework.compute.randomness import global_seed
from daframework.compute.ranks import alone
from daframework.data.checks.sizes import Size, telling_sizes
from daframework.data.whole import apply_padded, padded_side, weights_dtype
from daframework.errors import DafError
from daframework.interfaces import SEMANTIC, LabelType
from daframework.testing import check_size

Tell = Callable[[str], None]
"""Takes a line about what could not be looked at."""
_BATCHES = (2, 3, 4, 8, 16)  # of which the first that works is named
_SIZES = 16  # whole images that are tried, where a set's have more sizes
_COMPUTED = 2**19  # pixels at most that are computed where a network looks at values, which takes some seconds


@frozen(eq=False)
class Built:
    """A network, what an image's sides must be multiples of and must be at least, and its two uses.

    ``train`` is a training step on ``batch_size`` images of ``height`` and ``width``; ``whole`` maps whole images, in
    evaluation, to something of their size where it is one ``of_pixels``. A task's learns labels of ``label_type``.
    """

    network: nn.Module
    multiple: int
    smallest: int
    train: Callable[..., object]
    whole: Callable[[Tensor], Tensor]
    of_pixels: bool = True
    label_type: LabelType = SEMANTIC


@frozen
class Whole:
    """Whole images that a network will be given: their ``size``, an ``example``, the set's name, and what for."""

    size: Size
    example: str
    domain: str
    use: str


class UntriedError(Exception):
    """A network looks at values, which the meta device does not have, and would take long to compute."""


@define(eq=False)
class Trial:
    """A network of the recipe's ``table``, called ``title``, which is trained on ``batch`` crops at a time.

    ``build`` makes it with some of its options replaced; ``options`` are the recipe's own, ``parameters`` those that
    its factory knows, and ``batch_key`` is where the recipe writes ``batch``. It is tried on the meta device; where it
    looks at values, on the CPU, if that does not take long; ``tell`` is told where it does.
    """

    table: str
    title: str
    batch_key: str
    batch: int
    build: Callable[[Mapping[str, Any]], Built]
    options: Mapping[str, Any]
    parameters: Sequence[str]
    tell: Tell
    device: str = "meta"
    _built: Built | None = field(default=None, init=False)

    @property
    def built(self) -> Built:
        """The network on the device where it is tried.

        Raises:
            DafError: it cannot be built.
        """
        if self._built is None:
            with torch.device(self.device), global_seed(0, "trial"):
                self._built = self.build(self.options)
        return self._built

    @property
    def network(self) -> nn.Module | None:
        """The network, if it could be built."""
        return None if self._built is None else self._built.network

    def trains(self, batch: int, size: Size) -> Exception | None:
        """What a training step raises; None if it works."""

        def step() -> None:
            check_size(f"data.crop_size: {self.title}", self.built.multiple, *size)
            self.built.train(height=size[0], width=size[1], batch_size=batch)

        return self._failure(step, batch * size[0] * size[1])

    def takes(self, size: Size) -> Exception | None:
        """What is raised on a whole image of this size; None if it works."""

        def apply() -> None:
            image = torch.zeros(1, 3, *size, dtype=weights_dtype(self.built.network))
            self.built.network.eval()
            with torch.no_grad():
                output = apply_padded(self.built.whole, image, self.built.multiple, self.built.smallest)
            if self.built.of_pixels and tuple(output.shape[-2:]) != size:
                raise ValueError(f"the result has another size: {' x '.join(map(str, output.shape[-2:]))}")

        return self._failure(apply, size[0] * size[1])

    @alone()  # the first rank tries what all will train
    def _failure(self, run: Callable[[], object], pixels: int) -> Exception | None:
        if self.device == "cpu" and pixels > _COMPUTED:
            raise UntriedError
        try:
            with torch.device(self.device):
                run()
        except DafError:
            raise
        except Exception as error:  # of whatever type: sizes that do not fit make torch raise almost anything
            if self.device == "cpu" or not looks_at_values(error):
                return error
            self.device, self._built = "cpu", None
            return self._failure(run, pixels)
        return None

    def _works(self, batch: int, size: Size, wholes: Sequence[Size] = ()) -> bool:
        with suppress(DafError, UntriedError):
            return self.trains(batch, size) is None and all(self.takes(whole) is None for whole in wholes)
        return False

    def problems(self, crop: Size, wholes: Sequence[Whole], most: Size | None) -> list[str]:
        """What is wrong with it at the crop or on whole images, with what would do; ``most`` is the largest crop.

        Raises:
            DafError: it cannot be built, or breaks an interface.
        """
        try:
            if (error := self.trains(self.batch, crop)) is None:
                return self.whole_problems(crop, wholes)
            if self.network is None:
                return [f"{self.table}: {self.title} cannot be built with these options: {first_line(error)}"]
            return [self._crop_problem(crop, wholes, most, error)]
        except UntriedError:
            return self._untried(crop)

    def whole_problems(self, crop: Size, wholes: Sequence[Whole]) -> list[str]:
        """A line for the first of the whole images that it cannot take, though it takes the crop."""
        tried = self._distinct(wholes)
        for one in tried:
            try:
                error = self.takes(one.size)
            except UntriedError:
                return self._untried(one.size)
            if error is not None:
                found = [f"data.resize = {list(crop)}"] if self._works(self.batch, crop, [crop]) else []
                found += [option] if (option := self._option(crop, [whole.size for whole in tried])) else []
                takes = f"{self.title} takes crops of {_by(crop)}, but not the whole images of {one.domain}, {one.use}"
                remedy = f"set {' or '.join(found)}" if found else "choose another"
                image = f"{_by(one.size)} ({one.example})"
                return [f"data.resize: {takes}: {image}, {first_line(error)}; {remedy}"]
        return []

    def _untried(self, size: Size) -> list[str]:
        found = f"{self.title} looks at values, and is not tried on images of {_by(size)}, which takes long"
        self.tell(f"{found}; the run will tell")
        return []

    def _distinct(self, wholes: Sequence[Whole]) -> list[Whole]:
        """One for each size once it is padded, the most telling ones where there are many."""
        multiple, smallest = self.built.multiple, self.built.smallest
        padded: dict[Size, Whole] = {}
        for one in wholes:
            height, width = (padded_side(side, multiple, smallest) for side in one.size)
            padded.setdefault((height, width), one)
        return [padded[size] for size in telling_sizes(list(padded), _SIZES)]

    def _crop_problem(self, crop: Size, wholes: Sequence[Whole], most: Size | None, error: Exception) -> str:
        batch = next((one for one in _BATCHES if one > self.batch and self._works(one, crop)), None)
        larger = [(crop[0] * factor, crop[1] * factor) for factor in (2, 4)]
        larger = [one for one in larger if most is None or (one[0] <= most[0] and one[1] <= most[1])]
        size = next((one for one in larger if self._works(self.batch, one)), None)
        found = [f"{self.batch_key} = {batch} or more"] if batch is not None else []
        found += [f"data.crop_size = {list(size)}"] if size is not None else []
        crops = f"{self.batch} crop{'s' * (self.batch != 1)} of {_by(crop)}"
        problem = f"{self.batch_key}: {self.title} cannot be trained on {crops} at a time"
        if batch is None:
            problem = f"data.crop_size: {self.title} cannot take {_by(crop)}"
            option = self._option(crop, [one.size for one in self._distinct(wholes)]) or self._option(crop, [])
            found += [option] if option is not None else []
        return f"{problem}: {first_line(error)}" + (f"; set {', or '.join(found)}" if found else "")

    def _option(self, crop: Size, wholes: Sequence[Size]) -> str | None:
        """An option with which it takes the crop and all ``wholes``, found by trying those that it seems to have."""
        for added, said in self._options({crop, *wholes}):
            if evolve(self, options=added)._works(self.batch, crop, wholes):
                return said
        return None

    def _options(self, sizes: set[Size]) -> Iterator[tuple[Mapping[str, Any], str]]:
        """The recipe's options with others that have to do with an image's size, and these as a recipe writes them.

        Modules are made by keyword arguments that the network's own factory often passes on: a switch such as
        ``dynamic_img_size``, or a size such as ``img_size``. They are looked for in the signatures of all modules.
        """
        known: dict[str, Any] = {}
        for module in self.built.network.modules():
            with suppress(ValueError, TypeError):
                for name, one in signature(type(module).__init__).parameters.items():
                    if "img" in name:
                        known.setdefault(name, one.default)
        switches = {name: not default for name, default in known.items() if isinstance(default, bool)}
        changes: list[dict[str, Any]] = [{name: value} for name, value in switches.items()]
        changes += [switches] if len(switches) > 1 else []
        if len(sizes) == 1:
            given = list(next(iter(sizes)))
            changes += [{name: given} for name in known if name not in switches and name.endswith("size")]
        homes = [name for name in self.parameters if name.endswith("_options")]
        for change in changes:
            if change.keys() <= set(self.parameters):
                yield {**self.options, **change}, _written(self.table, change)
            for home in homes:
                inside = self.options.get(home) or {}
                yield {**self.options, home: {**inside, **change}}, _written(f"{self.table}.{home}", change)


def looks_at_values(error: Exception) -> bool:
    """Whether this was raised because tensors on the meta device have no values."""
    return isinstance(error, NotImplementedError) or "meta" in str(error)


def _written(table: str, change: Mapping[str, Any]) -> str:
    return " and ".join(
        f"{table}.{key} = {str(value).lower() if isinstance(value, bool) else value}" for key, value in change.items()
    )


def _by(size: Size) -> str:
    return "{} x {}".format(*size)
