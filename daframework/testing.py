"""Contract checks for components. ``daf check`` runs them on the meta device; plugin authors run them in their tests.

    from daframework.testing import check_generator
    check_generator(MyGenerator(), height=64, width=96)

Each raises `PluginError`, or `DataError` for a sample, and says what was promised and what was got.
"""

import torch
from torch import Tensor, nn

from daframework.data.checked import check_sample
from daframework.data.whole import padded_side
from daframework.errors import PluginError
from daframework.interfaces import (
    IGNORE_INDEX,
    Discriminator,
    DiscriminatorOutput,
    Generator,
    ImageDataset,
    Task,
)


def check_size(name: str, multiple: int, height: int, width: int) -> None:
    """``height`` and ``width`` must be multiples of what the network called ``name`` needs."""
    if height % multiple or width % multiple:
        near = [max(multiple, round(side / multiple) * multiple) for side in (height, width)]
        raise PluginError(
            f"{name} needs height and width that are multiples of {multiple}, got {height} x {width}; "
            f"{near[0]} x {near[1]} would do"
        )


def check_generator(generator: Generator, *, height: int, width: int, batch_size: int = 1) -> None:
    """An image goes in, one of the same shape and type comes out, within [-1, 1]; so does the smallest it promises."""
    name = f"generator {type(generator).__name__}"
    translators = generator.translators()
    if not translators or not all(isinstance(one, Generator) for one in translators):
        raise PluginError(f"{name} must give one or more generators in translators(), got {translators!r}")
    check_size(name, generator.multiple, height, width)
    image = _image(generator, batch_size, height, width)
    output = generator(image)
    if not isinstance(output, Tensor) or output.shape != image.shape or output.dtype != image.dtype:
        raise PluginError(f"{name} must give {_say(image)}, got {_say(output)}")
    if not output.is_meta and not bool((output.abs() <= 1 + 1e-4).all()):
        least, most = float(output.detach().min()), float(output.detach().max())
        raise PluginError(f"{name} must give values in [-1, 1], got {least} to {most}")
    side, training = padded_side(1, generator.multiple, generator.smallest), generator.training
    try:
        generator.eval()(_image(generator, 1, side, side))  # as images of any size are translated
    except Exception as error:  # of whatever type: sizes that do not fit make torch raise almost anything
        raise PluginError(
            f"{name} cannot take {side} x {side}, which it promises: {' '.join(str(error).split())[:200]}; say with "
            "smallest what height and width must be at least"
        ) from error
    finally:
        generator.train(training)


def check_discriminator(
    discriminator: Discriminator, *, num_classes: int, height: int, width: int, batch_size: int = 1
) -> None:
    """An image goes in; finite logits come out: one map for realness, and for every class and pixel if promised."""
    name = f"discriminator {type(discriminator).__name__}"
    check_size(name, discriminator.multiple, height, width)
    output = discriminator(_image(discriminator, batch_size, height, width))
    if not isinstance(output, DiscriminatorOutput):
        raise PluginError(f"{name} must give a DiscriminatorOutput, got {_say(output)}")
    realness, semantics = output.realness, output.semantics
    if not isinstance(realness, Tensor) or realness.ndim != 4 or realness.shape[:2] != (batch_size, 1):
        raise PluginError(f"{name} must give realness ({batch_size}, 1, h, w), got {_say(realness)}")
    wanted = (batch_size, num_classes, height, width) if discriminator.has_semantics else None
    got = None if semantics is None else tuple(semantics.shape)
    if got != wanted:
        raise PluginError(
            f"{name} has_semantics is {discriminator.has_semantics}: semantics must be {wanted}, got {got}"
        )
    for what, logits in (("realness", realness), ("semantics", semantics)):
        _check_finite(f"{what} of {name}", logits)


def check_task(
    task: Task, *, num_classes: int, height: int, width: int, batch_size: int = 2, model: nn.Module | None = None
) -> None:
    """Finite logits cover every class and pixel; the loss is a scalar, and finite where all pixels are ignored.

    Also in training, with the backward pass. ``model`` is one of the task's, built here without it.
    """
    name = f"task {type(task).__name__}"
    check_size(name, task.multiple, height, width)
    model = task.model() if model is None else model
    image = _image(model, batch_size, height, width)
    ignored = torch.full((batch_size, height, width), IGNORE_INDEX, device=image.device)
    wanted = (batch_size, num_classes, height, width)
    for training in (False, True):
        prediction = model.train(training)(image)
        if not isinstance(prediction, Tensor) or tuple(prediction.shape) != wanted:
            raise PluginError(f"the model of {name} must give {wanted}, got {_say(prediction)}")
        _check_finite(f"what the model of {name} gives", prediction)
        loss = task.loss(prediction, ignored)
        if not isinstance(loss, Tensor) or loss.ndim != 0:
            raise PluginError(f"the loss of {name} must be a scalar, got {_say(loss)}")
        if not loss.is_meta and not bool(loss.isfinite()):
            raise PluginError(
                f"the loss of {name} must be finite where every pixel is ignored, got {float(loss.detach())}"
            )
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]


def check_dataset(dataset: ImageDataset, *, labelled: bool = True) -> None:
    """Classes and palette agree; the first sample is as promised, also without its label."""
    name = f"dataset {type(dataset).__name__}"
    if len(dataset.classes) != len(dataset.palette):
        raise PluginError(f"{name} has {len(dataset.classes)} classes and {len(dataset.palette)} palette colours")
    if len(dataset) == 0:
        raise PluginError(f"{name} is empty")
    if dataset.unlabelled(0).label is not None:
        raise PluginError(f"{name}: unlabelled(0) must have no label")
    if labelled:
        check_sample(dataset[0], len(dataset.classes), labelled=True)


def _check_finite(what: str, values: Tensor | None) -> None:
    if values is not None and not values.is_meta and not bool(values.isfinite().all()):
        raise PluginError(f"{what} must be finite numbers, got {int((~values.isfinite()).sum())} that are not")


def _image(network: nn.Module, batch_size: int, height: int, width: int) -> Tensor:
    weight = next(network.parameters(), torch.empty(0))
    image = torch.zeros(batch_size, 3, height, width, device=weight.device, dtype=weight.dtype)
    return image if image.is_meta else image.uniform_(-1, 1)


def _say(value: object) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
