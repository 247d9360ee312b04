"""Adversarial losses: the generators want their images judged real, each discriminator wants to tell them apart."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from daf_cyclegan.layers import to_float32
from daframework.interfaces import DomainImages, Loss, StepImages


class Adversarial(Loss):
    """An adversarial loss from its two pure functions of ``realness`` logits."""

    needs_discriminator = True

    def __init__(
        self, generator: Callable[[Tensor], Tensor], discriminator: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        """``generator(fake)`` and ``discriminator(real, fake)`` give scalars."""
        super().__init__()
        self._generator, self._discriminator = generator, discriminator

    def generator_loss(self, images: StepImages) -> Tensor:
        terms = [self._generator(to_float32(images.judged(f"fake_{domain}").realness)) for domain in images.domains]
        return sum(terms[1:], terms[0])

    def discriminator_loss(self, images: DomainImages) -> Tensor:
        return self._discriminator(to_float32(images.real_output.realness), to_float32(images.fake_output.realness))


def lsgan() -> Adversarial:
    """Least squares (arXiv 1611.04076), as CycleGAN uses it.

    Generators: mean (D(fake) - 1)^2, the sum of the domains translated to. Discriminator: half of
    mean (D(real) - 1)^2 + mean D(fake)^2.
    """
    return Adversarial(lsgan_generator, lsgan_discriminator)


def vanilla() -> Adversarial:
    """Cross-entropy, not saturating (arXiv 1406.2661).

    Generators: mean -log sigmoid(D(fake)), the sum of the domains translated to. Discriminator: half of
    mean -log sigmoid(D(real)) + mean -log(1 - sigmoid(D(fake))).
    """
    return Adversarial(vanilla_generator, vanilla_discriminator)


def hinge() -> Adversarial:
    """Hinge (arXiv 1705.02894).

    Generators: mean -D(fake), the sum of the domains translated to; it has no lower bound. Discriminator:
    mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)), not halved, as is usual.
    """
    return Adversarial(hinge_generator, hinge_discriminator)


def lsgan_generator(fake: Tensor) -> Tensor:
    """Mean (fake - 1)^2 of logits of any shape."""
    return (fake - 1).square().mean()


def lsgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Half of mean (real - 1)^2 + mean fake^2."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def vanilla_generator(fake: Tensor) -> Tensor:
    """Mean -log sigmoid(fake) of logits of any shape."""
    return F.softplus(-fake).mean()


def vanilla_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Half of mean -log sigmoid(real) + mean -log(1 - sigmoid(fake))."""
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2


def hinge_generator(fake: Tensor) -> Tensor:
    """Mean -fake of logits of any shape."""
    return -fake.mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Mean max(0, 1 - real) + mean max(0, 1 + fake)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
