"""CycleGAN (Zhu et al., arXiv 1703.10593) in parts: generators, a discriminator and losses to build on."""

from collections.abc import Mapping
from typing import Any

from daframework import hookimpl


@hookimpl
def daf_generators() -> Mapping[str, Any]:
    """Offer ``resnet`` and ``unet``."""
    from daf_cyclegan.resnet import ResNet
    from daf_cyclegan.unet import UNet

    return {"resnet": ResNet, "unet": UNet}


@hookimpl
def daf_discriminators() -> Mapping[str, Any]:
    """Offer ``patchgan``."""
    from daf_cyclegan.patchgan import PatchGAN

    return {"patchgan": PatchGAN}


@hookimpl
def daf_losses() -> Mapping[str, Any]:
    """Offer ``lsgan``, ``vanilla``, ``hinge``, ``cycle`` and ``identity``."""
    from daf_cyclegan.adversarial import hinge, lsgan, vanilla
    from daf_cyclegan.reconstruction import Cycle, Identity

    return {"lsgan": lsgan, "vanilla": vanilla, "hinge": hinge, "cycle": Cycle, "identity": Identity}
