"""A discriminator that also segments: one encoder, a head that judges patches and a decoder with skip connections."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional as F

from daf_cyclegan.layers import Downsample, init_normal, require_positive, to_float32
from daf_cyclegan.patchgan import Norm, PatchGAN
from daf_semantic_cyclegan.decoder import Decoder
from daframework.errors import one_line
from daframework.interfaces import Discriminator, DiscriminatorOutput

PATCHGAN = "patchgan"


def semantic(
    *,
    num_classes: int,
    channels: int = 64,
    layers: int = 3,
    norm: Norm = "instance",
    downsample: Downsample = "strided",
    encoder: str = PATCHGAN,
    encoder_options: Mapping[str, Any] | None = None,
    decoder_channels: int = 32,
    semantic_head: bool = True,
    classwise: bool = False,
) -> "SemanticPatchGAN | SemanticEncoder":
    """The paper's discriminator (arXiv 1810.05852): a shared encoder, an adversarial head and one that segments.

    (N, 3, H, W) in [-1, 1] -> ``realness`` (N, 1, h, w) and ``semantics`` (N, num_classes, H, W). With the encoder
    "patchgan" the adversarial path is `patchgan` to the last bit, weights under one seed included: the decoder's are
    drawn after it. Height and width must be even.

    Args:
        num_classes: number of classes; the source's, unless given.
        channels: width of the PatchGAN's first layer; of another encoder's adversarial head.
        layers: number of halvings of the PatchGAN; another encoder brings its own.
        norm: the PatchGAN's, "instance" or "none"; another encoder brings its own.
        downsample: the PatchGAN's, "strided" or "antialiased"; another encoder brings its own.
        encoder: "patchgan", or the name of a timm model that gives features, such as "resnet18", "convnext_atto" or
            "mambaout_femto". Its weights are drawn anew, never downloaded; the image is brought to ImageNet's mean and
            deviation inside. Its adversarial head judges the deepest features of stride 8 or less, or else the
            shallowest. A model made for one size of image, as most transformers, must be told to take others.
        encoder_options: more keyword arguments of a timm encoder, as in ``{ dynamic_img_size = true }`` for
            "vit_tiny_patch16_224" and "swin_tiny_patch4_window7_224", or ``{ img_size = [48, 64] }``, the crop's.
        decoder_channels: width of the decoder at half the resolution; deeper it is twice as wide.
        semantic_head: false leaves the decoder out, and ``semantics`` is None.
        classwise: a critic of its own for each class, heard where the semantic head sees its class: where the target
            shows more trees than the source, nobody asks for more trees. Needs the semantic head.

    Raises:
        ValueError: an option has a value that is not allowed.
    """
    require_positive(num_classes=num_classes, channels=channels, layers=layers, decoder_channels=decoder_channels)
    if encoder_options and encoder == PATCHGAN:
        raise ValueError(f"encoder_options are for timm encoders only, got encoder '{PATCHGAN}'")
    if classwise and not semantic_head:
        raise ValueError("classwise needs semantic_head = true, which says where each class is")
    heads = Heads(num_classes if semantic_head else None, decoder_channels, classwise)
    if encoder == PATCHGAN:
        return SemanticPatchGAN(PatchGAN(channels=channels, layers=layers, norm=norm, downsample=downsample), heads)
    return SemanticEncoder(encoder, encoder_options or {}, channels, heads)


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

    def output(self, critics: Tensor, decode: Callable[[], Tensor] | None) -> DiscriminatorOutput:
        """From the critics' logits (N, `critics`, h, w) and the decoder."""
        if not self.classwise or decode is None:
            return DiscriminatorOutput(critics, decode)
        semantics = decode()
        return DiscriminatorOutput(by_class(critics, semantics), semantics)


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
        return self._heads.output(self.patchgan.last(features[-1]), decode)


class SemanticEncoder(Discriminator):
    """An encoder of timm, made with ``options``, an adversarial head, and a decoder."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, encoder: str, options: Mapping[str, Any], channels: int, heads: Heads) -> None:
        # Here, because it takes longer to import than torch and "patchgan" does without.
        import timm
        from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

        super().__init__()
        if not timm.is_model(encoder):
            raise ValueError(f"encoder must be '{PATCHGAN}' or the name of a timm model, got {encoder!r}")
        try:
            self.encoder = timm.create_model(encoder, pretrained=False, features_only=True, **options)
        except Exception as error:  # of whatever type: each of timm's models has its own ways
            given = f" with {dict(options)}" if options else ""
            raise ValueError(
                f"encoder {encoder!r} gives no features in timm{given} ({one_line(error)}); "
                f"{'change encoder_options, or ' * bool(options)}choose another"
            ) from error
        self._channels_last = getattr(self.encoder, "output_fmt", None) == "NHWC"
        widths, strides = self.encoder.feature_info.channels(), self.encoder.feature_info.reduction()
        self._judged = max((i for i, stride in enumerate(strides) if stride <= 8), default=0)
        self.judge = nn.Sequential(
            nn.Conv2d(widths[self._judged], channels, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(channels, heads.critics, 3, padding=1),
        )
        init_normal(self.judge)
        self._heads, self.decoder = heads, heads.decoder(widths)
        self.has_semantics = self.decoder is not None
        self.multiple = Decoder.multiple if self.has_semantics else 1
        # In [-1, 1] instead of [0, 1]; constants, so not part of a checkpoint.
        self.register_buffer("mean", torch.tensor(IMAGENET_DEFAULT_MEAN).view(3, 1, 1) * 2 - 1, persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEFAULT_STD).view(3, 1, 1) * 2, persistent=False)

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        features = self.encoder((image - self.mean) / self.deviation)
        if self._channels_last:
            features = [one.permute(0, 3, 1, 2) for one in features]
        decode = None if self.decoder is None else partial(self.decoder, image, features)
        return self._heads.output(self.judge(features[self._judged]), decode)
