"""CycleGAN in one plain PyTorch file, written as the public repositories write it: what `step.py` measures against.

float32, one small kernel after another, nn.InstanceNorm2d, nn.ReflectionPad2d, both domains one after the other, an
image pool for each, plain Adam, and every loss read out as a number at every step.
"""

import random
from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """A residual block with reflected borders."""

    def __init__(self, width: int) -> None:
        """Two convolutions of ``width`` channels."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
            nn.ReLU(True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, width, H, W) -> the same."""
        return features + self.layers(features)


class ResNetGenerator(nn.Module):
    """resnet_Nblocks: the same layers as daf_cyclegan's ``resnet``."""

    def __init__(self, channels: int, blocks: int, upsample: str, head: str) -> None:
        """``upsample`` "transposed" or "resize"; ``head`` "paint" or "affine"."""
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, channels, 7), *_norm(channels)]
        for width in (channels, 2 * channels):
            layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), *_norm(2 * width)]
        layers += [Block(4 * channels) for _ in range(blocks)]
        for width in (4 * channels, 2 * channels):
            if upsample == "transposed":
                layers.append(nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1))
            else:
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width // 2, 3, 1, 1)]
            layers += _norm(width // 2)
        self.affine = head == "affine"
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(channels, 6 if self.affine else 3, 7)]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> the same."""
        predicted = self.layers(image)
        if not self.affine:
            return torch.tanh(predicted)
        gain, bias = predicted.chunk(2, 1)
        logits = torch.atanh(image.clamp(-1 + 1 / 510, 1 - 1 / 510))
        return torch.tanh(nn.functional.softplus(gain + 0.5413248546129181) * logits + bias)


def _norm(width: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(width), nn.ReLU(True)]


def patch_discriminator(channels: int, layers: int, norm: str) -> nn.Sequential:
    """The n-layer PatchGAN: the same layers as daf_cyclegan's ``patchgan``."""
    stages: list[nn.Module] = [nn.Conv2d(3, channels, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    width = channels
    for level in range(1, layers + 1):
        wider = channels * min(2**level, 8)
        stages.append(nn.Conv2d(width, wider, 4, 2 if level < layers else 1, 1))
        if norm == "instance":
            stages.append(nn.InstanceNorm2d(wider))
        stages.append(nn.LeakyReLU(0.2, True))
        width = wider
    return nn.Sequential(*stages, nn.Conv2d(width, 1, 4, 1, 1))


class Pool:
    """The buffer of 50 past translations."""

    def __init__(self, size: int = 50) -> None:
        """Empty."""
        self.size, self.images = size, list[Tensor]()

    def query(self, images: Tensor) -> Tensor:
        """As many images, new and old ones."""
        chosen = []
        for image in images:
            image = image.detach().unsqueeze(0)
            if len(self.images) < self.size:
                self.images.append(image)
                chosen.append(image)
            elif random.uniform(0, 1) > 0.5:
                index = random.randint(0, self.size - 1)
                chosen.append(self.images[index].clone())
                self.images[index] = image
            else:
                chosen.append(image)
        return torch.cat(chosen, 0)


class CycleGAN:
    """The model object of such a repository: two generators, two discriminators, and one step of training."""

    def __init__(self, generator: dict[str, Any], discriminator: dict[str, Any], identity: bool, device: str) -> None:
        """Sizes of the networks; ``identity`` adds the identity loss of weight 5."""
        self.g_a, self.g_b = (ResNetGenerator(**generator).to(device) for _ in range(2))
        self.d_a, self.d_b = (patch_discriminator(**discriminator).to(device) for _ in range(2))
        for module in chain(*(net.modules() for net in (self.g_a, self.g_b, self.d_a, self.d_b))):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
        self.identity = identity
        self.pool_a, self.pool_b = Pool(), Pool()
        self.gan, self.l1 = nn.MSELoss(), nn.L1Loss()
        self.optimizer_g = torch.optim.Adam(
            chain(self.g_a.parameters(), self.g_b.parameters()), lr=2e-4, betas=(0.5, 0.999)
        )
        self.optimizer_d = torch.optim.Adam(
            chain(self.d_a.parameters(), self.d_b.parameters()), lr=2e-4, betas=(0.5, 0.999)
        )

    def step(self, real_a: Tensor, real_b: Tensor) -> dict[str, float]:
        """Generators, then discriminators, on a batch of each domain; the losses as numbers."""
        losses: dict[str, Tensor] = {}
        fake_b = self.g_a(real_a)
        rec_a = self.g_b(fake_b)
        fake_a = self.g_b(real_b)
        rec_b = self.g_a(fake_a)

        self._require_grad(False)
        self.optimizer_g.zero_grad()
        losses["idt_A"] = losses["idt_B"] = torch.zeros(())
        if self.identity:
            losses["idt_A"] = self.l1(self.g_a(real_b), real_b) * 5.0
            losses["idt_B"] = self.l1(self.g_b(real_a), real_a) * 5.0
        losses["G_A"] = self._judge(self.d_a(fake_b), True)
        losses["G_B"] = self._judge(self.d_b(fake_a), True)
        losses["cycle_A"] = self.l1(rec_a, real_a) * 10.0
        losses["cycle_B"] = self.l1(rec_b, real_b) * 10.0
        losses["G"] = sum(losses.values(), torch.zeros((), device=real_a.device))
        losses["G"].backward()
        self.optimizer_g.step()

        self._require_grad(True)
        self.optimizer_d.zero_grad()
        losses["D_A"] = self._discriminate(self.d_a, real_b, self.pool_b.query(fake_b))
        losses["D_B"] = self._discriminate(self.d_b, real_a, self.pool_a.query(fake_a))
        self.optimizer_d.step()
        losses["D"] = losses["D_A"] + losses["D_B"]
        return {name: float(value.detach()) for name, value in losses.items()}

    def _discriminate(self, net: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        loss = (self._judge(net(real), True) + self._judge(net(fake.detach()), False)) * 0.5
        loss.backward()
        return loss

    def _judge(self, prediction: Tensor, real: bool) -> Tensor:
        return self.gan(prediction, torch.tensor(1.0 if real else 0.0, device=prediction.device).expand_as(prediction))

    def _require_grad(self, wanted: bool) -> None:
        for parameter in chain(self.d_a.parameters(), self.d_b.parameters()):
            parameter.requires_grad = wanted


def steps(model: CycleGAN, images: Tensor, others: Tensor, batch_size: int) -> Iterator[dict[str, float]]:
    """Endless steps on batches drawn at random from two sets of images on the CPU, (M, 3, H, W) in [-1, 1]."""
    device = next(model.g_a.parameters()).device
    while True:
        real_a, real_b = (
            torch.stack([pool[random.randrange(len(pool))] for _ in range(batch_size)]).to(device)
            for pool in (images, others)
        )
        yield model.step(real_a, real_b)
