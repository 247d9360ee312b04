"""Contract checks for components, one for each kind."""

import pickle
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from daframework.adapt.rehearsal import Judge, Translator, tensors_of, try_step, with_versions
from daframework.compute.randomness import global_seed
from daframework.data.checked import check_sample
from daframework.data.whole import batched, padded_side
from daframework.downstream.score import require_metrics
from daframework.errors import PluginError, one_line
from daframework.interfaces import (
    IGNORE_INDEX,
    SEMANTIC,
    Discriminator,
    DiscriminatorOutput,
    Generator,
    ImageDataset,
    Loss,
    Sample,
    Task,
)
from daframework.networks import DIRECTIONS, DOMAINS, Networks, Term


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
    label = torch.zeros(batch_size, height, width, dtype=torch.int64, device=image.device)
    for output in (generator(image), generator.with_label(image, label)):
        _check_translation(name, image, output)
    side, training = padded_side(1, generator.multiple, generator.smallest), generator.training
    try:
        generator.eval()(_image(generator, 1, side, side))  # as images of any size are translated
    except Exception as error:  # of whatever type: sizes that do not fit make torch raise almost anything
        raise PluginError(
            f"{name} cannot take {side} x {side}, which it promises: {one_line(error)[:200]}; say with "
            "smallest what height and width must be at least"
        ) from error
    finally:
        generator.train(training)


def _check_translation(name: str, image: Tensor, output: object) -> None:
    if not isinstance(output, Tensor) or output.shape != image.shape or output.dtype != image.dtype:
        lowered = isinstance(output, Tensor) and output.dtype in (torch.bfloat16, torch.float16)
        hint = ", which autocast computes in; end with .to(image.dtype)" * lowered
        raise PluginError(f"{name} must give {_say(image)}, got {_say(output)}{hint}")
    if not output.is_meta and not bool((output.abs() <= 1 + 1e-4).all()):
        least, most = float(output.detach().min()), float(output.detach().max())
        raise PluginError(f"{name} must give values in [-1, 1], got {least} to {most}")


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
        raise PluginError(f"{name} has_semantics={discriminator.has_semantics}: semantics must be {wanted}, got {got}")
    for what, logits in (("realness", realness), ("semantics", semantics)):
        _check_finite(f"{what} of {name}", logits)


def check_task(
    task: Task, *, num_classes: int, height: int, width: int, batch_size: int = 2, model: nn.Module | None = None
) -> None:
    """Predictions are finite, and logits cover every class and pixel where the task is one of classes; the loss is a
    scalar, and finite where no pixel is valid; statistics add up.

    Also in training, with the backward pass. ``model`` is one of the task's, built here without it.
    """
    name = f"task {type(task).__name__}"
    check_size(name, task.multiple, height, width)
    model = task.model() if model is None else model
    image = _image(model, batch_size, height, width)
    random, kind = torch.Generator().manual_seed(0), task.label_type
    label = torch.stack([kind.example(height, width, num_classes, random) for _ in range(batch_size)])
    label = batched(label).to(image.device)
    ignored = torch.full_like(label, kind.invalid)
    wanted = (batch_size, num_classes, height, width)
    for training in (False, True):
        prediction = model.train(training)(image)
        if not isinstance(prediction, Tensor) or len(prediction) != batch_size:
            raise PluginError(f"the model of {name} must give a prediction of each image, got {_say(prediction)}")
        if kind.of_classes and tuple(prediction.shape) != wanted:
            raise PluginError(f"the model of {name} must give {wanted}, got {_say(prediction)}")
        _check_finite(f"what the model of {name} gives", prediction)
        loss = task.loss(prediction, ignored)
        if not isinstance(loss, Tensor) or loss.ndim != 0:
            raise PluginError(f"the loss of {name} must be a scalar, got {_say(loss)}")
        if not loss.is_meta and not bool(loss.isfinite()):
            raise PluginError(f"the loss of {name} must be finite where no pixel is valid, got {float(loss.detach())}")
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]
    if not image.is_meta:
        _check_scores(name, task, prediction.detach(), label)


def _check_scores(name: str, task: Task, prediction: Tensor, label: Tensor) -> None:
    """Statistics add up over images; scores are of its metrics, and `Task.primary` gives the first of `Task.scores`."""
    whole = task.statistics(prediction, label)
    parts = [task.statistics(prediction[i : i + 1], label[i : i + 1]) for i in range(len(label))]
    if not torch.allclose(torch.stack(parts).sum(0), whole):
        raise PluginError(f"the statistics of {name} must add up over images to those of all")
    scores = task.scores(whole)
    require_metrics(name, task, scores)
    first = scores.primary
    if first is None or abs(float(task.primary(whole[None].double())[0]) - first) > 1e-9 * max(1, abs(first)):
        raise PluginError(f"primary of {name} must give what scores gives, {first}")


def check_network(network: nn.Module, fresh: nn.Module, *, height: int, width: int, batch_size: int = 2) -> None:
    """What training and checkpoints need of a generator, a discriminator or a task's model, with real numbers.

    The image is not written to. In eval it gives the same whenever torch's global generators start alike, and so does
    ``fresh``, another one made alike, with this one's state. In training a finite gradient reaches every parameter,
    under bf16 autocast too.
    """
    name = type(network).__name__
    image = _image(network, batch_size, height, width)
    with torch.no_grad():
        first, again = _seeded(network.eval(), image), _seeded(network, image)
        fresh.load_state_dict(network.state_dict())
        loaded = _seeded(fresh.eval(), image)
    if not all(map(torch.equal, first, again)):
        raise PluginError(f"{name} in eval must give the same for the same image; draw from torch's global generators")
    if not all(map(torch.equal, first, loaded)):
        raise PluginError(f"{name} must give the same with a state that was saved; keep it in parameters and buffers")
    for autocast in (False, True):
        network.train().zero_grad()
        with _in_bf16(image, autocast):
            outputs = _seeded(network, image)
        for output in outputs:
            _check_finite(f"what {name} gives{' under bf16 autocast' * autocast}", output)
        _check_gradients(name, network, cast(Tensor, sum(output.float().square().mean() for output in outputs)))


def check_loss(
    loss: Loss,
    *,
    num_classes: int,
    height: int,
    width: int,
    batch_size: int = 2,
    generator: Generator | None = None,
    directions: Sequence[str] = DIRECTIONS,
) -> None:
    """Both its sides in a step with small networks, also where no pixel is labelled and under bf16 autocast.

    A loss gives finite scalars, asks for no discriminator or semantics unless it says so, writes to nothing that it is
    given, and a gradient reaches each of its parameters. ``generator``, in place of a small one, is for a loss that
    was made to fit one; ``directions`` are those of a recipe.
    """
    name = f"loss {type(loss).__name__}"
    given: list[tuple[Tensor, int]] = []
    translator, judge = generator or Translator(), Judge(num_classes if loss.needs_semantics else 0)
    judged = [direction.rpartition("_")[2] for direction in directions] if loss.needs_discriminator else []
    if loss.needs_source_model:
        loss.take_source_model(nn.Conv2d(3, num_classes, 1).eval().requires_grad_(False))
    judges, terms = dict.fromkeys(judged, judge), [Term("loss", 1.0, loss)]
    networks = Networks(dict.fromkeys(directions, translator), judges, terms)
    ignored = torch.full((batch_size, height, width), IGNORE_INDEX)

    def watch(network: nn.Module, inputs: object, output: object) -> None:
        given.extend(with_versions(tensors_of(output)))

    for label, autocast in ((torch.randint(num_classes, ignored.shape), False), (ignored, False), (ignored % 2, True)):
        source, target = (_image(translator, batch_size, height, width) for _ in DOMAINS)
        given[:] = with_versions([source, target, label])
        with translator.register_forward_hook(watch), judge.register_forward_hook(watch), _in_bf16(label, autocast):
            values, total = try_step(networks, source, label, target, {"fake_target": source, "fake_source": target})
        if not values:
            raise PluginError(f"{name} must have a side: generator_loss or discriminator_loss must give a scalar")
        for side, value in values.items():
            _check_finite(f"{side} of {name}", value)
        if any(tensor._version != version for tensor, version in given):
            raise PluginError(f"{name} must not write to what it is given")
        loss.zero_grad()
        _check_gradients(name, loss, total)


def check_dataset(dataset: ImageDataset, *, labelled: bool = True) -> None:
    """Classes and palette agree; the first and last sample are as promised, without labels and after pickling too."""
    name = f"dataset {type(dataset).__name__}"
    if len(dataset.classes) != len(dataset.palette):
        raise PluginError(f"{name} has {len(dataset.classes)} classes and {len(dataset.palette)} palette colours")
    if len(dataset) == 0:
        raise PluginError(f"{name} is empty")
    for index in (0, len(dataset) - 1):
        bare = dataset.unlabelled(index)
        if bare.label is not None:
            raise PluginError(f"{name}: unlabelled({index}) must have no label")
        sample = dataset[index] if labelled else bare
        of_classes = labelled and SEMANTIC.name in dataset.labels
        check_sample(sample, len(dataset.classes), (SEMANTIC,) if of_classes else ())
        if labelled and {*sample.others} != {*dataset.labels} - {SEMANTIC.name}:
            raise PluginError(f"{name}: its samples must have the labels that it names, {', '.join(dataset.labels)}")
        if not _equal(bare, Sample(sample.image, None, sample.name)):
            raise PluginError(f"{name}: unlabelled({index}) must give the image and name of [{index}]")
        try:
            copy: ImageDataset = pickle.loads(pickle.dumps(dataset))
        except Exception as error:  # a class says in its own way why not
            raise PluginError(f"{name} must be picklable, to be read in worker processes: {error}") from error
        if not _equal(copy[index] if labelled else copy.unlabelled(index), sample):
            raise PluginError(f"{name} must give the same sample {index} in a worker process, that is after pickling")


def _equal(one: Sample, other: Sample) -> bool:
    if one.others.keys() != other.others.keys():
        return False
    pairs = [(one.image, other.image), (one.label, other.label)]
    pairs += [(one.others[name], other.others[name]) for name in one.others]
    same = (torch.equal(a, b) if a is not None and b is not None else a is b for a, b in pairs)
    return one.name == other.name and all(same)


def _seeded(network: nn.Module, image: Tensor) -> list[Tensor]:
    version = image._version
    with global_seed(0, "check"):
        outputs = tensors_of(network(image))
    if image._version != version:
        raise PluginError(f"{type(network).__name__} must not write to the image that it is given")
    return outputs


def _in_bf16(tensor: Tensor, enabled: bool) -> torch.autocast:
    """Autocast for what is computed with ``tensor``; the meta device has none of its own."""
    return torch.autocast("cpu" if tensor.is_meta else tensor.device.type, torch.bfloat16, enabled=enabled)


def _check_gradients(name: str, module: nn.Module, total: Tensor) -> None:
    if total.requires_grad:
        total.backward()  # type: ignore[no-untyped-call]
    for key, parameter in module.named_parameters():
        if parameter.requires_grad and parameter.grad is None:
            raise PluginError(f"{name}: no gradient reaches its parameter {key}; leave it out, or freeze it")
        _check_finite(f"the gradient of {key} of {name}", parameter.grad)


def _check_finite(what: str, values: Tensor | None) -> None:
    if values is not None and not values.is_meta and not bool(values.isfinite().all()):
        raise PluginError(f"{what} must be finite numbers, got {int((~values.isfinite()).sum())} that are not")


def _image(network: nn.Module, batch_size: int, height: int, width: int) -> Tensor:
    weight = next(network.parameters(), torch.empty(0))
    image = torch.zeros(batch_size, 3, height, width, device=weight.device, dtype=weight.dtype)
    return image if image.is_meta else image.uniform_(-1, 1)


def _say(value: object) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
