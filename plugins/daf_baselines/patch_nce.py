"""CUT's loss: a patch of the translation should be recognisable as the same patch of the image it was made from."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daf_cyclegan.layers import require_positive, to_float32
from daframework.interfaces import Generator, Loss, StepImages

SHORTEST = 1e-7
"""A vector below this length counts as 0."""


class PatchNCE(Loss):
    """Patch-wise contrastive loss of CUT and FastCUT (arXiv 2007.15651, ``PatchNCE``), which needs no generator back.

    The generator's own encoder looks at the translation (queries) and at the image it was made from (keys, without
    gradient). At each of ``layers`` the same random positions of both go through a head of their own, two linear layers
    with a ReLU between, trained with the generator, and are brought to length 1. A query should be closer to the key of
    its position than to those of the other positions of the same image: cross-entropy over them, the mean over
    positions, images and layers. CUT's weight for it is 1, with ``identity``; FastCUT's is 10, without it and with
    ``flip_equivariance``.

    Of a `resnet` the default ``layers`` are what the paper names: the image, both halvings, the first and the fifth
    block; the authors' own numbers for them, counted in layers of their anti-aliased network, are 0, 4, 8, 12 and 16.
    They take the halvings right after the convolution, before norm, ReLU and blur, and the image with the reflected
    border of the first convolution.

    ``flip_equivariance`` takes, in half of the steps, the keys of the mirrored image x' and mirrors them back. The
    authors mirror the generator's input instead: queries from G(x'), mirrored back, and keys from x. Mirroring both
    permutes the positions, which the loss does not notice, so theirs at x is ours at x'; and as training images are
    mirrored at random (``data.flip``), x and x' come equally often.
    """

    def __init__(
        self,
        *,
        generator: Generator,
        layers: Sequence[int] = (0, 2, 3, 4, 8),
        patches: int = 256,
        temperature: float = 0.07,
        width: int = 256,
        identity: bool = True,
        flip_equivariance: bool = False,
    ) -> None:
        """Build the heads and initialise them as the authors do: Xavier's normal with gain 0.02, biases 0.

        Args:
            generator: the generator from source to target, supplied; only its features' sizes are read.
            layers: the generator's features to compare, in its own numbering.
            patches: positions drawn in each layer; all where it has fewer.
            temperature: divides the cosines of query and key; the smaller, the more the closest keys count.
            width: length of the vectors that are compared.
            identity: also compare ``idt_target`` with ``target``, and take the mean of both: an image that is in the
                target's domain already should stay as it is.
            flip_equivariance: in half of the steps, take the keys of the mirrored image and mirror them back, so that
                what is compared does not depend on left and right.

        Raises:
            ValueError: an option has a value that is not allowed, or the generator has no such layer.
            TypeError: the generator offers no features.
        """
        super().__init__()
        require_positive(patches=patches, width=width)
        if not temperature > 0:
            raise ValueError(f"temperature must be greater than 0, got {temperature}")
        if not layers:
            raise ValueError("layers must name at least one of the generator's layers, got none")
        self._layers, self._patches, self._temperature = tuple(layers), patches, temperature
        self._identity, self._flip_equivariance = identity, flip_equivariance
        self.heads = nn.ModuleList(_head(channels, width) for channels in _channels(generator, self._layers))

    def generator_loss(self, images: StepImages) -> Tensor:
        # Drawn on the CPU, where reading it waits for no accelerator.
        mirrored = self._flip_equivariance and bool(torch.rand((), device="cpu") < 0.5)
        loss = self._contrast(images, images.fake_target, images.source, mirrored)
        if not self._identity:
            return loss
        return (loss + self._contrast(images, images.idt_target, images.target, mirrored)) / 2

    def _contrast(self, images: StepImages, translated: Tensor, original: Tensor, mirrored: bool) -> Tensor:
        queries = images.features(translated, self._layers)
        with torch.no_grad():
            keys = images.features(original.flip(-1) if mirrored else original, self._layers)
        terms = []
        # At this temperature cosines rounded to half precision would change the odds by several per cent.
        kind = translated.device.type
        with torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext():
            for head, query, key in zip(self.heads, queries, keys, strict=True):
                positions = torch.randperm(query[0, 0].numel(), device=query.device)[: self._patches]
                vectors = _vectors(head, query, positions)
                with torch.no_grad():
                    matches = _vectors(head, key.flip(-1) if mirrored else key, positions)
                terms.append(patch_nce(vectors, matches, self._temperature))
        return torch.stack(terms).mean()


def patch_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """Mean over n and p of -log(exp(q_np . k_np / temperature) / sum over r of exp(q_np . k_nr / temperature)).

    ``query`` and ``key`` are (N, P, D), vectors of length 1; the negatives of a position are the other P - 1 of its own
    image. No gradient reaches ``key``.
    """
    logits = query @ key.detach().transpose(1, 2) / temperature
    own = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    return F.cross_entropy(logits.flatten(0, 1), own.flatten())


def _vectors(head: nn.Module, features: Tensor, positions: Tensor) -> Tensor:
    """Features (N, C, h, w) at ``positions`` (P,) of the h * w -> vectors of length 1, (N, P, width)."""
    drawn = features.flatten(2)[:, :, positions].transpose(1, 2)
    projected = head(to_float32(drawn))
    length = torch.linalg.vector_norm(projected, dim=-1, keepdim=True)
    # What has no length has no direction: left at 0, or its gradient would have no bound.
    return torch.where(length > SHORTEST, projected / length.clamp(min=SHORTEST), 0)


def _head(channels: int, width: int) -> nn.Sequential:
    head = nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width))
    for layer in head:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight, gain=0.02)
            nn.init.zeros_(layer.bias)
    return head


@torch.no_grad()
def _channels(generator: Generator, layers: Sequence[int]) -> list[int]:
    """How many channels each of the generator's ``layers`` has; it is left as it was."""
    training = generator.training
    # What a network measures or draws while it trains is not to begin with an image of zeros.
    generator.eval()
    side = 2 * max(8, generator.multiple)
    features = generator.features(torch.zeros(1, 3, side, side), layers)
    generator.train(training)
    return [activation.shape[1] for activation in features]
