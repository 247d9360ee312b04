"""The tables of a recipe: what may be written, its type, its range and its default. One class a table."""

from typing import Any, Literal

from attrs import field, frozen
from attrs.validators import optional

from daframework.recipes.rules import (
    at_least,
    betas,
    directions,
    factors,
    plain_name,
    positive,
    shares,
    size,
    within,
    without_labels,
)
from daframework.recipes.strict import REST

_MOST_IMAGES = 2**16


@frozen
class ComponentTable:
    """A component by ``name``; every other key is one of its factory's keyword arguments."""

    name: str
    options: dict[str, Any] = field(factory=dict, metadata=REST)


@frozen
class LossTable(ComponentTable):
    """A loss, and its ``weight`` in the objective."""

    weight: float = 1.0


@frozen
class DataTable:
    """How images reach the networks, in every stage.

    Args:
        crop_size: height and width, in pixels, of a training crop.
        batch_size: images of each domain in a translation step, per device.
        resize: height and width, in pixels, that every image and label is brought to first; the file's own size
            without it.
        flip: mirror an image with its label left to right, half of the time.
        classes: label space, by name or as a file, that the labels of both domains are read in; the datasets' own,
            which must then be the same, without it.
        source_map: what a class of the source becomes in ``classes``, or "ignore", where the space itself does not say.
        target_map: the same for the target.
        rare_class_temperature: T of DAFormer's rare class sampling (0.01 there): crops of labelled images are drawn by
            class, rare ones more often the lower it is; 0 draws every image equally often.
        matched_crops: crops of each image that the source's task model looks at, so that the translation learns from
            pairs of source and target crops with similar layouts; 0 draws the domains independently.
        cache: keep decoded and resized images on disk, made by the first run that needs them; see docs/cache.md.
    """

    crop_size: tuple[int, ...] = field(validator=size)
    batch_size: int = field(default=1, validator=within(1, _MOST_IMAGES))
    resize: tuple[int, ...] | None = field(default=None, validator=optional(size))
    flip: bool = True
    classes: str | None = None
    source_map: dict[str, str] = field(factory=dict)
    target_map: dict[str, str] = field(factory=dict)
    rare_class_temperature: float = field(default=0.0, validator=at_least(0))
    matched_crops: int = field(default=0, validator=within(0, 10_000))
    cache: bool = False


@frozen
class AugmentTable:
    """Random changes of the images that the task model is trained on, drawn for each image.

    Args:
        scale: low and high factor by which image and label are enlarged about their centre; what comes in from outside
            is ignored in the label.
        rotation: degrees by which image and label may turn about their centre, either way.
        class_colors: c gives each class of an image colours of its own, in half of the images: values on [0, 1] are
            multiplied by 1 + s * u and s * v / 2 is added, with s = uniform(0, c) of the image, and u and v of the
            class, uniform(-1, 1) for all three channels and a third of that for each.
        gamma: g raises values on [0, 1] to the power exp(uniform(-g, g)).
        gain: low and high factor on [0, 1].
        brightness: share by which brightness may change, up or down.
        contrast: share by which contrast may change.
        saturation: share by which saturation may change.
        hue: share of the colour circle by which hue may turn, either way.
        blur: greatest standard deviation, in pixels, of a Gaussian blur.
    """

    scale: tuple[float, ...] = field(default=(1.0, 1.0), validator=factors)
    rotation: float = field(default=0.0, validator=within(0, 180))
    class_colors: float = field(default=0.0, validator=within(0, 1))
    gamma: float = field(default=0.0, validator=within(0, 5))
    gain: tuple[float, ...] = field(default=(1.0, 1.0), validator=factors)
    brightness: float = field(default=0.0, validator=within(0, 1))
    contrast: float = field(default=0.0, validator=within(0, 1))
    saturation: float = field(default=0.0, validator=within(0, 1))
    hue: float = field(default=0.0, validator=within(0, 0.5))
    blur: float = field(default=0.0, validator=within(0, 5))


@frozen
class OriginalsTable:
    """Source images as they are, among the translated ones that a translated row is trained on.

    Args:
        share: of the crops that show the source image instead of its translations.
        augment: random changes of these images alone; those of the row unless given. Strong colours that would spoil
            the look of a translation do no harm here.
    """

    share: float = field(validator=within(0, 1))
    augment: AugmentTable | None = None


@frozen
class TranslationTable:
    """Training of the generators and discriminators.

    Args:
        steps: updates of the generators, and of the discriminators. 0 for generators that only measure the domains.
        directions: "source_to_target", and "target_to_source" unless the method is one-sided.
        lr: learning rate of Adam, generators and discriminators alike.
        discriminator_lr: the discriminators', where it differs from ``lr``.
        betas: Adam's.
        constant_fraction: share of the steps before the learning rate falls linearly to 0.
        pool_size: past translations kept for the discriminators; 0 shows them only new ones.
        ema_decay: decay per step of an exponential moving average of the generators' weights, which then translates
            instead of the last weights; 0 switches it off.
        accumulate: batches in a step, whose gradients are averaged before the update: a step of ``batch_size`` times
            as many images in the memory of one batch.
        also: generators that measure and train nothing, such as "color_transfer", whose translations of the source the
            row is trained on beside its own: each crop shows one of them, drawn alike.
        originals: source images as they are, which the row is trained on too.
    """

    steps: int = field(validator=at_least(0))
    directions: tuple[Literal["source_to_target", "target_to_source"], ...] = field(
        default=("source_to_target", "target_to_source"), validator=directions
    )
    lr: float = field(default=2e-4, validator=positive)
    discriminator_lr: float | None = field(default=None, validator=optional(positive))
    betas: tuple[float, ...] = field(default=(0.5, 0.999), validator=betas)
    constant_fraction: float = field(default=0.5, validator=within(0, 1))
    pool_size: int = field(default=50, validator=at_least(0))
    ema_decay: float = field(default=0.0, validator=within(0, 0.9999999))
    accumulate: int = field(default=1, validator=at_least(1))
    also: tuple[str, ...] = ()
    originals: OriginalsTable | None = None


@frozen
class SelfTrainingTable:
    """More training of a row's task model, on target images too, as it labels them itself (DACS, arXiv 2007.08702).

    Args:
        steps: updates, which begin with the row's trained model; as many as ``downstream.steps`` unless given.
        lr: highest learning rate; ``downstream.lr`` unless given.
        weight: of the loss on mixed images, beside that on labelled ones.
        confidence: probability from which the teacher's word for a pixel counts; the share of such pixels in a batch
            weighs all of its pseudo-labels.
        teacher_decay: decay per step of the running average of the model's weights that is its teacher.
        augment: random changes of the mixed images.
    """

    steps: int | None = field(default=None, validator=optional(at_least(1)))
    lr: float | None = field(default=None, validator=optional(positive))
    weight: float = field(default=1.0, validator=at_least(0))
    confidence: float = field(default=0.968, validator=within(0, 1))
    teacher_decay: float = field(default=0.99, validator=within(0, 0.9999999))
    augment: AugmentTable = field(
        default=AugmentTable(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1, blur=1.15), validator=without_labels
    )


@frozen
class DownstreamTable:
    """Training of the task model: the same for every row of the table.

    Args:
        steps: updates of the task model.
        batch_size: images in an update, per device.
        lr: highest learning rate of AdamW; it rises over the first tenth of the steps and falls to 0 along a cosine.
        weight_decay: AdamW's.
        oracle: whether to train a row on the target's own training labels too; false where there are none, and then
            content preservation is not measured.
        source_only: whether to train a row on the untouched source too; false leaves it out, unless the recipe's own
            row needs its model or is that row.
        score: whether to score on the target's test set; false where no image of the target has a label, and then the
            rows have models and no scores.
        augment: random changes of the images, the same in every row; only the recipe's own row may have others.
        class_balance: how far the loss makes up for how unevenly the classes share a set's pixels: while training, each
            class's logit is raised by this times the logarithm of its share (logit adjustment, arXiv 2007.07314). 1
            teaches what speaks for each class apart from how common it was in the source; 0 is the plain loss.
        blend: low and high share, from 0 to 1, of the translation in an image that a translated row is trained on,
            drawn for each crop; the rest of it is the original. [1, 1] is the translation alone, [0, 1] all that lies
            between (DLOW, arXiv 1812.05418).
        target_norms: adds to every row but the oracle one whose models' batch norms have the statistics of target
            images (AdaBN, arXiv 1603.04779), by this share, from 0 (no such rows) to 1; nothing is trained for it.
        self_training: adds to every row but the oracle one whose model is trained on with target images.
    """

    steps: int = field(validator=at_least(1))
    batch_size: int = field(default=8, validator=within(1, _MOST_IMAGES))
    lr: float = field(default=1e-3, validator=positive)
    weight_decay: float = field(default=1e-4, validator=at_least(0))
    oracle: bool = True
    source_only: bool = True
    score: bool = True
    augment: AugmentTable = AugmentTable()
    class_balance: float = field(default=0.0, validator=within(0, 2))
    blend: tuple[float, ...] = field(default=(1.0, 1.0), validator=shares)
    target_norms: float = field(default=0.0, validator=within(0, 1))
    self_training: SelfTrainingTable | None = None


@frozen
class LogTable:
    """When to tell and to save. Nothing here changes a result.

    Args:
        every: steps between two lines of losses.
        samples_every: steps between two grids of sample images; 0 for one at the end only.
        checkpoint_every: steps between two checkpoints.
        to: plugins that are to follow the run beside log.jsonl, such as "tensorboard"; see docs/listeners.md.
    """

    every: int = field(default=25, validator=at_least(1))
    samples_every: int = field(default=0, validator=at_least(0))
    checkpoint_every: int = field(default=250, validator=at_least(1))
    to: tuple[str, ...] = ()


@frozen
class HardwareTable:
    """Where and how to compute.

    Args:
        accelerator: lightning-fabric's name of the device kind.
        precision: lightning-fabric's name of the precision; "auto" is "bf16-mixed" where the hardware computes in
            it and the networks are wide enough to gain by it, and "32-true" elsewhere; see docs/performance.md.
        compile: "always" compiles the networks with torch.compile, "never" does not, "auto" does in stages so long that
            compiling pays.
        channels_last: whether images lie in memory pixel by pixel; "auto" does that on a GPU for compiled networks and
            for those with batch norm. A CPU, whose norms would lose digits, keeps them contiguous.
        checkpoint_activations: keep no activations of the generators and compute them again in the backward pass: crops
            of a size that would not fit, for about a third more time.
        workers: processes that load images beside each training process; 0 loads in the process itself.
        cache_mb: megabytes of decoded and resized images kept in memory for each domain, where ``data.cache`` is false.
    """

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "32-true", "64-true", "bf16-mixed"] = "auto"
    compile: Literal["auto", "always", "never"] = "auto"
    channels_last: Literal["auto", "always", "never"] = "auto"
    checkpoint_activations: bool = False
    workers: int = field(default=0, validator=within(0, 1024))
    cache_mb: int = field(default=1024, validator=at_least(0))


@frozen
class Recipe:
    """One method on one pair of domains, with one task. See docs/recipes.md for every key.

    Args:
        name: names the method's row in the table and the run's folder.
        source: the labelled domain.
        target: the domain to adapt to; the labels of its training images are read for the oracle only.
        data: how images reach the networks.
        task: the model trained downstream.
        downstream: how it is trained.
        seed: every random draw follows from it.
        augment: random changes of the images of the recipe's own row alone, in place of ``downstream.augment``.
        generator: built once for each direction; without it nothing is translated.
        discriminator: built once for each domain.
        losses: the objective.
        translation: how the generators are trained.
        log: when to tell and to save.
        hardware: where to compute.
    """

    name: str = field(validator=plain_name)
    source: ComponentTable
    target: ComponentTable
    data: DataTable
    task: ComponentTable
    downstream: DownstreamTable
    seed: int = field(default=0, validator=within(0, 2**31 - 1))
    augment: AugmentTable | None = None
    generator: ComponentTable | None = None
    discriminator: ComponentTable | None = None
    losses: tuple[LossTable, ...] = ()
    translation: TranslationTable | None = None
    log: LogTable = LogTable()
    hardware: HardwareTable = HardwareTable()
