"""Build a network of segmentation-models-pytorch from a few checked options."""

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from attrs import field, frozen
from torch import Tensor, nn

from daf_segmentation import encoder_weights as pretrained
from daframework.errors import one_line, unknown

_ARCHITECTURES: Mapping[str, Any] = smp.MODEL_ARCHITECTURES_MAPPING
_OURS = {"self", "encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params", "kwargs"}


class Normalised(nn.Module):
    """A network that wants images of another mean and spread, made to take images in [-1, 1]."""

    scale: Tensor
    shift: Tensor

    def __init__(
        self, network: nn.Module, *, mean: Iterable[float], std: Iterable[float], freeze_encoder: bool = False
    ) -> None:
        """``mean`` and ``std`` per channel are those of images in [0, 1] that the network was trained on.

        With ``freeze_encoder`` its encoder learns nothing, and its batch norms keep the statistics they came with.
        """
        super().__init__()
        self.network, self._freeze_encoder = network, freeze_encoder
        if freeze_encoder:
            network.get_submodule("encoder").requires_grad_(False)
        means, stds = torch.tensor(tuple(mean)), torch.tensor(tuple(std))
        self.register_buffer("scale", (0.5 / stds).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", ((0.5 - means) / stds).view(1, -1, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "Normalised":
        super().train(mode)
        if self._freeze_encoder:
            self.network.get_submodule("encoder").eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1] -> logits (N, num_classes, H, W)."""
        logits: Tensor = self.network(image * self.scale + self.shift)
        return logits


def _in_lower_case(name: str) -> str:
    return name.lower()


def _given(options: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return options or {}


def _named(weights: str | None) -> str | None:
    """None where a recipe asks for ``none``."""
    return None if (weights or "none").lower() == "none" else weights


@frozen
class NetworkOptions:
    """What a recipe says about the network; a value that cannot work raises ValueError before anything is built."""

    num_classes: int
    arch: str = field(converter=_in_lower_case)
    encoder: str
    encoder_weights: str | None = field(converter=_named)
    arch_options: Mapping[str, Any] = field(converter=_given)
    encoder_options: Mapping[str, Any] = field(converter=_given)
    freeze_encoder: bool

    def __attrs_post_init__(self) -> None:
        if self.arch not in _ARCHITECTURES:
            raise ValueError(unknown("arch", self.arch, _ARCHITECTURES))
        _check_encoder(self.encoder)
        if self.encoder_weights is not None:
            pretrained.check_weights(self.encoder, self.encoder_weights)
        elif self.freeze_encoder:
            raise ValueError("freeze_encoder keeps the encoder's weights, and encoder_weights gives it none")
        known = _parameters(self.arch)
        for key in self.arch_options:
            if key not in known:
                raise ValueError(f"arch_options of arch '{self.arch}': {unknown('option', key, known)}")
        if self.encoder_options and not self.encoder.startswith("tu-"):
            raise ValueError(f"encoder_options are for timm encoders ('tu-...') only, got encoder '{self.encoder}'")

    @property
    def multiple(self) -> int:
        """What height and width must be multiples of: the encoder's stride, or 1 where the decoder takes any size."""
        if not _ARCHITECTURES[self.arch].requires_divisible_input_shape:
            return 1
        if self.arch == "dpt":  # its decoder works down to 1/32, whatever the size of the transformer's patches
            return 32
        options = {name: parameter.default for name, parameter in _parameters(self.arch).items()}
        options.update(self.arch_options)
        depth, stride = options["encoder_depth"], options.get("encoder_output_stride", 32)
        if not (isinstance(depth, int) and isinstance(stride, int) and depth > 0 and stride > 0):
            raise ValueError(f"encoder_depth and encoder_output_stride must be 1 or more, got {depth!r} and {stride!r}")
        return int(min(2**depth, stride))

    @property
    def smallest(self) -> int:
        """What height and width must be at least: ``pan`` halves what the encoder gives three times more."""
        return 8 * self.multiple if self.arch == "pan" else 1

    def build(self) -> nn.Module:
        """A new network on the default device, taking images in [-1, 1]; without its weights on the meta device.

        Raises:
            PluginError: the weights cannot be had.
            ValueError: segmentation-models-pytorch refuses an option.
        """
        if torch.get_default_device().type == "meta":
            return self._normalised(self._create_on_meta(), None)
        if self.encoder_weights is None:
            return self._normalised(self._create(), None)
        if self.encoder_weights == pretrained.PACKAGED:
            network = self._create()
            pretrained.load_packaged(network.encoder.model, pretrained.packaged_file())
            return self._normalised(network, None)
        self._create_on_meta()  # so that a refused option does not read as a failed download
        try:
            return self._normalised(self._smp(self.encoder_weights), self.encoder_weights)
        except Exception as error:
            raise pretrained.download_failed(self.encoder, self.encoder_weights, error) from error

    def _normalised(self, network: nn.Module, downloaded: str | None) -> nn.Module:
        mean, std = pretrained.statistics(self.encoder, downloaded)
        return Normalised(network, mean=mean, std=std, freeze_encoder=self.freeze_encoder)

    def _create_on_meta(self) -> Any:
        try:
            with torch.device("meta"):
                return self._smp(None)
        except Exception:  # some encoders read numbers off tensors while they are built, which the meta device cannot
            with torch.device("cpu"):
                return self._create().to("meta")

    def _create(self) -> Any:
        try:
            return self._smp(None)
        except Exception as error:
            options = {**self.arch_options, **self.encoder_options}
            raise ValueError(
                f"arch '{self.arch}' with encoder '{self.encoder}' cannot be built with {options}: {one_line(error)}"
            ) from error

    def _smp(self, weights: str | None) -> Any:
        # A timm encoder's weights are named in the encoder's name; here they are only asked for.
        asked = True if weights and self.encoder.startswith("tu-") else weights
        options = {**self.arch_options, **self.encoder_options}
        return smp.create_model(self.arch, self.encoder, asked, classes=self.num_classes, **options)


def _parameters(arch: str) -> dict[str, inspect.Parameter]:
    """The keyword arguments of an architecture that a recipe may set."""
    parameters = inspect.signature(_ARCHITECTURES[arch].__init__).parameters
    return {name: parameter for name, parameter in parameters.items() if name not in _OURS}


def _check_encoder(encoder: str) -> None:
    if encoder in smp.encoders.encoders or (encoder.startswith("tu-") and timm.is_model(encoder[3:].split(".")[0])):
        return
    # All names would fill a screen: only the nearest are shown.
    near = get_close_matches(encoder, [*smp.encoders.encoders, *(f"tu-{name}" for name in timm.list_models())])
    hint = f"; did you mean '{near[0]}'? (near: {', '.join(near)})" if near else ""
    raise ValueError(
        f"no encoder named '{encoder}'{hint}; allowed are the names of segmentation-models-pytorch's encoders and, "
        "with 'tu-' in front, those of timm.list_models()"
    )
