"""What a plugin implements. One convention everywhere: an image is (N, 3, H, W), float, RGB, in [-1, 1]; a semantic
label is (N, H, W), int64, class index, 255 = ignore. A network that wants another scale (ImageNet statistics) converts
inside.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

from attrs import frozen
from torch import Tensor, nn

from daframework.dataset_interface import ImageDataset as ImageDataset
from daframework.dataset_interface import Inspection as Inspection
from daframework.dataset_interface import Sample as Sample
from daframework.label_types import IGNORE_INDEX as IGNORE_INDEX
from daframework.label_types import SEMANTIC as SEMANTIC
from daframework.label_types import LabelType as LabelType
from daframework.scores import Metric as Metric
from daframework.scores import MetricValues as MetricValues
from daframework.scores import Scores as Scores
from daframework.spans import span
from daframework.task_interface import Task as Task


@frozen(eq=False)
class Batch:
    """``image`` (N, 3, H, W) float in [-1, 1]; ``label`` (N, ...), or None where labels must not be seen.

    Semantic labels are (N, H, W) int64; others have the dtype their dataset gives them, integers as int64.
    """

    image: Tensor
    label: Tensor | None


class Generator(nn.Module, ABC):
    """Translates images from one domain to the other. One that draws at random draws from torch's global generators,
    which are seeded before each batch."""

    multiple: int = 1
    smallest: int = 1
    """Height and width of an input must be multiples of the one and no less than the other; images are padded to it."""

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> the same shape and range."""

    def with_label(self, image: Tensor, label: Tensor) -> Tensor:
        """`forward` of source images whose semantic labels (N, H, W) are known, as where the source set is translated.

        Unless a generator says otherwise it does not look at them.
        """
        output: Tensor = self(image)
        return output

    def prepare(self, source: ImageDataset, target: ImageDataset) -> None:
        """Called once before training, on every generator, which maps ``source`` to ``target``: measure both here.
        Target labels are not given."""

    def translators(self) -> "Sequence[Generator]":
        """What the source set is translated with: itself, or an ensemble's members, each into a set on which a task
        model is trained; their predictions are averaged. Elsewhere the generator itself is used."""
        return [self]

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Intermediate activations, one (N, C, h, w) for each entry of ``layers``: for contrastive losses."""
        raise TypeError(f"generator {type(self).__name__} offers no features")


class DiscriminatorOutput:
    """``realness`` (N, 1, h, w) logits; ``semantics`` (N, num_classes, H, W) logits, None without a semantic head.

    ``semantics`` may be given as a function of no arguments, called when a loss first asks, and only once: a decoder
    costs nothing where nobody looks.
    """

    def __init__(self, realness: Tensor, semantics: Tensor | Callable[[], Tensor] | None) -> None:
        """Keep both; nothing is computed yet."""
        self.realness, self._semantics = realness, semantics

    @cached_property
    def semantics(self) -> Tensor | None:
        """The semantic head's logits."""
        if not callable(self._semantics):
            return self._semantics
        with span("discriminators forward"):
            return self._semantics()


class Discriminator(nn.Module, ABC):
    """Tells real images of one domain from translated ones; may also segment them."""

    multiple: int = 1
    """Height and width of an input must be multiples of this."""
    has_semantics: bool = False
    """Whether ``semantics`` of the output is given."""

    @abstractmethod
    def forward(self, image: Tensor) -> DiscriminatorOutput:
        """(N, 3, H, W) in [-1, 1] -> both heads' logits; the shared encoder runs once."""


class StepImages(Protocol):
    """What the generators' side of a loss sees: the images of one step, each made when first asked for, and only once.

    ``domains`` are the domains that images are translated to: ``("target", "source")``, or ``("target",)`` in a recipe
    of one direction, where there is no ``fake_source`` and nothing made from it.

    ``source`` real source images, ``source_label`` (N, H, W) their labels, ``target`` real target images (no labels
    exist here); ``fake_target`` = source_to_target(source), ``rec_source`` = target_to_source(fake_target),
    ``idt_target`` = source_to_target(target); and ``fake_source``, ``rec_target``, ``idt_source`` the other way round.
    """

    @property
    def domains(self) -> Sequence[str]: ...
    @property
    def source(self) -> Tensor: ...
    @property
    def source_label(self) -> Tensor: ...
    @property
    def target(self) -> Tensor: ...
    @property
    def fake_target(self) -> Tensor: ...
    @property
    def fake_source(self) -> Tensor: ...
    @property
    def rec_source(self) -> Tensor: ...
    @property
    def rec_target(self) -> Tensor: ...
    @property
    def idt_source(self) -> Tensor: ...
    @property
    def idt_target(self) -> Tensor: ...

    def judged(self, image: str) -> DiscriminatorOutput:
        """The named image (``"fake_target"``) as its own domain's discriminator sees it; that one is not trained here.

        The domain is the name's last word. Each image is judged once a step, whoever asks.
        """

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """`Generator.features` of the generator from source to target; run each time it is asked for."""


class DomainImages(Protocol):
    """What the discriminator's side of a loss sees: one domain of one step. No gradient reaches a generator.

    ``domain`` is ``"source"`` or ``"target"``. ``fake`` comes from the pool of past translations, with the label it was
    made from. Labels are None for what shows target content: ``real_label`` in the domain ``target``, ``fake_label``
    in the domain ``source``. ``rec`` is the reconstruction, with ``rec_label`` as ``real_label``. The outputs are the
    domain's discriminator on each, run when first asked for and only once.
    """

    @property
    def domain(self) -> str: ...
    @property
    def real_label(self) -> Tensor | None: ...
    @property
    def fake_label(self) -> Tensor | None: ...
    @property
    def rec_label(self) -> Tensor | None: ...
    @property
    def real_output(self) -> DiscriminatorOutput: ...
    @property
    def fake_output(self) -> DiscriminatorOutput: ...
    @property
    def rec_output(self) -> DiscriminatorOutput: ...


class Loss(nn.Module):
    """One term of the training objective. Override one side or both; a side left as it is takes no part.

    A loss returns an unweighted scalar (the recipe's ``weight`` multiplies both sides) and never writes to what it is
    given. Its own parameters are trained with the generators; keep a frozen network out of ``self``'s modules.
    """

    needs_semantics: bool = False
    """Whether it reads ``semantics`` of the discriminators' outputs, so that both need a semantic head."""
    needs_discriminator: bool = False
    """Whether it asks for a discriminator's output at all."""
    needs_source_model: bool = False
    """Whether `take_source_model` is to be called."""

    def prepare(self, source: ImageDataset, target: ImageDataset) -> None:
        """Called once before training: measure the domains here. Target labels are not given."""

    def take_source_model(self, model: nn.Module) -> None:
        """Called once before training with the task model that was trained on the untouched source, in eval mode.

        It maps images (N, 3, H, W) in [-1, 1] to logits (N, num_classes, H, W); its weights need no gradient and
        have the precision of the translation.
        """

    def generator_loss(self, images: StepImages) -> Tensor | None:
        """What the generators minimise, a scalar; None where this loss has no such side."""
        return None

    def discriminator_loss(self, images: DomainImages) -> Tensor | None:
        """One domain's part, a scalar; None where it has none."""
        return None
