"""A discriminator that also segments: one encoder, a head that judges patches and a decoder with skip connections."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional as F

from daf_cyclegan.layers import Downsample, GroupNorm, init_normal, require_positive, to_float32
from daf_cyclegan.patchgan import Norm, PatchGAN
from daf_semantic_cyclegan.decoder import Decoder
from daframework.errors import one_line
from daframework.interfaces import Discriminator, DiscriminatorOutput

PATCHGAN, NO_WEIGHTS = "patchgan", "none"


def semantic(
    *,
    num_classes: int,
    channels: int = 64,
    layers: int = 3,
    norm: Norm = "instance",
    downsample: Downsample = "strided",
    encoder: str = PATCHGAN,
    encoder_options: Mapping[str, Any] | None = None,
    encoder_weights: str = NO_WEIGHTS,
    freeze_encoder: bool = False,
    judged_strides: Sequence[int] | None = None,
    decoder_channels: int = 32,
    semantic_head: bool = True,
    classwise: bool = False,
) -> "SemanticPatchGAN | SemanticEncoder":
    """The paper's discriminator (arXiv 1810.05852): a shared encoder, an adversarial head and one that segments.

    (N, 3, H, W) in [-1, 1] -> ``realness`` (N, 1, h, w) and ``semantics`` (N, num_classes, H, W). With the encoder
    "patchgan" the adversarial path is `patchgan` to the last bit, weights under one seed included: the decoder's are
    drawn after it. Height and width must be even.

    Args:
        num_classes: number of classes, of which only the semantic head knows; the source's, unless given.
        channels: width of the PatchGAN's first layer; of another encoder's adversarial head.
        layers: number of halvings of the PatchGAN; another encoder brings its own.
        norm: the PatchGAN's, "instance" or "none"; another encoder brings its own.
        downsample: the PatchGAN's, "strided" or "antialiased"; another encoder brings its own.
        encoder: "patchgan", or the name of a timm model that gives features, such as "resnet18", "convnext_atto" or
            "mambaout_femto", with or without the task's "tu-". The image is brought to the mean and deviation that it
            was made for. A model made for one size of image, as most transformers, must be told to take others.
        encoder_options: more keyword arguments of a timm encoder, as in ``{ dynamic_img_size = true }`` for
            "vit_tiny_patch16_224" and "swin_tiny_patch4_window7_224", or ``{ img_size = [48, 64] }``, the crop's.
        encoder_weights: "none" draws a timm encoder's weights anew; "imagenet" downloads those that timm has;
            "packaged" takes those of the extra `weights`, for "tf_efficientnet_lite0".
        freeze_encoder: it keeps these weights and its batch norms' statistics, and only the heads learn. They judge and
            segment from the first steps on what an encoder without weights has yet to find (as in Projected GANs,
            arXiv 2111.01007).
        judged_strides: of a timm encoder, the strides whose features have an adversarial head of their own: shallow
            ones judge texture, deep ones objects. None takes the deepest of 8 or less, or else the shallowest.
        decoder_channels: width of the decoder at half the resolution; deeper it is twice as wide.
        semantic_head: false leaves the decoder out, and ``semantics`` is None.
        classwise: a critic of its own for each class, heard where the semantic head sees its class: where the target
            shows more trees than the source, nobody asks for more trees. Needs the semantic head.

    Raises:
        ValueError: an option has a value that is not allowed.
    """
    require_positive(channels=channels, layers=layers, decoder_channels=decoder_channels)
    if semantic_head:
        require_positive(num_classes=num_classes)
    if encoder == PATCHGAN and (encoder_options or encoder_weights != NO_WEIGHTS or freeze_encoder):
        raise ValueError(f"encoder_options, encoder_weights and freeze_encoder are for timm encoders, got '{PATCHGAN}'")
    if freeze_encoder and encoder_weights == NO_WEIGHTS:
        raise ValueError("freeze_encoder keeps the encoder's weights, and encoder_weights gives it none")
    if classwise and not semantic_head:
        raise ValueError("classwise needs semantic_head = true, which says where each class is")
    heads = Heads(num_classes if semantic_head else None, decoder_channels, classwise)
    if encoder == PATCHGAN:
        return SemanticPatchGAN(PatchGAN(channels=channels, layers=layers, norm=norm, downsample=downsample), heads)
    network, mean, deviation = _timm_encoder(encoder.removeprefix("tu-"), encoder_options or {}, encoder_weights)
    return SemanticEncoder(network, mean, deviation, freeze_encoder, judged_strides, channels, heads)


@frozen
class Heads:
    """What follows the encoder: a decoder for ``num_classes``, None for none, of ``width``; one critic or many."""

    num_classes: int | None
    width: int
    classwise: bool

    @property
    def critics(self) -> int:
        """Channels of the adversarial head."""
        return self.num_classes if self.classwise and self.num_classes else 1

    def decoder(self, widths: Sequence[int]) -> Decoder | None:
        """That of an encoder with features of these ``widths``."""
        return None if self.num_classes is None else Decoder(widths, self.width, self.num_classes)

    def output(self, critics: Sequence[Tensor], decode: Callable[[], Tensor] | None) -> DiscriminatorOutput:
        """From the logits of adversarial heads, each (N, `critics`, h, w) of its own h and w, and the decoder.

        Patches of several heads stand in one column: (N, 1, patches, 1).
        """
        semantics: Tensor | Callable[[], Tensor] | None = decode
        if self.classwise and decode is not None:
            semantics = seen = decode()
            critics = [by_class(logits, seen) for logits in critics]
        if len(critics) == 1:
            return DiscriminatorOutput(critics[0], semantics)
        return DiscriminatorOutput(torch.cat([one.flatten(2) for one in critics], dim=2)[..., None], semantics)


def by_class(critics: Tensor, semantics: Tensor) -> Tensor:
    """Logits of each class's critic (N, C, h, w), averaged by how likely the class is: (N, 1, h, w).

    ``semantics`` are logits (N, C, H, W), which get no gradient: no image becomes more real by showing something else.
    """
    size = (critics.shape[-2], critics.shape[-1])
    shares = F.adaptive_avg_pool2d(to_float32(semantics.detach()).softmax(1), size)
    return (shares * to_float32(critics)).sum(1, keepdim=True)


class SemanticPatchGAN(Discriminator):
    """`PatchGAN`, whose stages a decoder also reads."""

    def __init__(self, patchgan: PatchGAN, heads: Heads) -> None:
        super().__init__()
        if heads.classwise:
            patchgan.last = nn.Conv2d(patchgan.widths[-1], heads.critics, 4, padding=1)
            init_normal(patchgan.last)
        self.patchgan, self._heads = patchgan, heads
        self.decoder = heads.decoder(patchgan.widths)
        self.has_semantics = self.decoder is not None
        self.multiple = Decoder.multiple if self.has_semantics else 1

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        features = [image]
        for stage in self.patchgan.stages:
            features.append(stage(features[-1]))
        decode = None if self.decoder is None else partial(self.decoder, image, features[1:])
        return self._heads.output([self.patchgan.last(features[-1])], decode)


def _timm_encoder(name: str, options: Mapping[str, Any], weights: str) -> tuple[Any, Iterable[float], Iterable[float]]:
    """A timm model that gives features, without its ``weights`` on the meta device; the mean and deviation it wants."""
    # Here, because they take longer to import than torch and "patchgan" does without.
    import timm

    from daf_segmentation import encoder_weights

    if not timm.is_model(name):
        raise ValueError(f"encoder must be '{PATCHGAN}' or the name of a timm model, got {name!r}")
    if weights != NO_WEIGHTS:
        encoder_weights.check_weights(f"tu-{name}", weights)
    try:
        encoder = timm.create_model(name, pretrained=False, features_only=True, **options)
    except Exception as error:  # of whatever type: each of timm's models has its own ways
        given = f" with {dict(options)}" if options else ""
        raise ValueError(
            f"encoder {name!r} gives no features in timm{given} ({one_line(error)}); "
            f"{'change encoder_options, or ' * bool(options)}choose another"
        ) from error
    if torch.get_default_device().type == "meta":
        weights = NO_WEIGHTS
    if weights == encoder_weights.PACKAGED:
        encoder_weights.load_packaged(encoder, encoder_weights.packaged_file())
    elif weights != NO_WEIGHTS:
        try:
            encoder = timm.create_model(name, pretrained=True, features_only=True, **options)
        except Exception as error:
            raise encoder_weights.download_failed(f"tu-{name}", weights, error) from error
    return encoder, *encoder_weights.statistics(f"tu-{name}", None)


class SemanticEncoder(Discriminator):
    """An encoder of timm, an adversarial head for each of its judged features, and a decoder."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        encoder: Any,
        mean: Iterable[float],
        deviation: Iterable[float],
        freeze_encoder: bool,
        judged_strides: Sequence[int] | None,
        channels: int,
        heads: Heads,
    ) -> None:
        super().__init__()
        self.encoder, self._freeze_encoder = encoder, freeze_encoder
        if freeze_encoder:
            encoder.requires_grad_(False)
        self._channels_last = getattr(encoder, "output_fmt", None) == "NHWC"
        widths, strides = encoder.feature_info.channels(), encoder.feature_info.reduction()
        if judged_strides is None:
            judged_strides = [max((stride for stride in strides if stride <= 8), default=strides[0])]
        if not judged_strides or set(judged_strides) - set(strides):
            raise ValueError(f"judged_strides must be some of the encoder's, {strides}, got {list(judged_strides)}")
        self._judged = [strides.index(stride) for stride in judged_strides]
        self.judges = nn.ModuleList(_judge(widths[level], channels, heads.critics) for level in self._judged)
        init_normal(self.judges)
        self._heads, self.decoder = heads, heads.decoder(widths)
        self.has_semantics = self.decoder is not None
        self.multiple = Decoder.multiple if self.has_semantics else 1
        # In [-1, 1] instead of [0, 1]; constants, so not part of a checkpoint.
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(3, 1, 1) * 2 - 1, persistent=False)
        self.register_buffer("deviation", torch.tensor(tuple(deviation)).view(3, 1, 1) * 2, persistent=False)

    def train(self, mode: bool = True) -> "SemanticEncoder":
        super().train(mode)
        if self._freeze_encoder:
            self.encoder.eval()
        return self

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        features = self.encoder((image - self.mean) / self.deviation)
        if self._channels_last:
            features = [one.permute(0, 3, 1, 2) for one in features]
        decode = None if self.decoder is None else partial(self.decoder, image, features)
        judged = [judge(features[level]) for judge, level in zip(self.judges, self._judged, strict=True)]
        return self._heads.output(judged, decode)


def _judge(width: int, channels: int, critics: int) -> nn.Sequential:
    """An adversarial head on features (N, width, h, w): -> logits (N, critics, h, w)."""
    first, last = nn.Conv2d(width, channels, 3, padding=1), nn.Conv2d(channels, critics, 3, padding=1)
    return nn.Sequential(GroupNorm(1, width), first, nn.LeakyReLU(0.2, inplace=True), last)
