"""Steps of CycleGAN and of semantic adversarial training against a literal script in float64.

The script has networks, losses, gradients and Adam of its own, written from the papers' formulas; only the semantic
decoder is the plugin's.
"""

import pytest
import tiny
import torch
from conftest import Recorder
from torch.func import functional_call
from torch.nn import functional as F

from daframework.adapt.loop import train
from daframework.build import make_dataset
from daframework.data.stream import TrainingStream, training_batches
from daframework.data.unlabelled import Unlabelled
from daframework.networks import make_networks
from daframework.recipes.read import parse
from daframework.registry import load_plugins
from daframework.runs.translation import measure_domains

LR, BETAS, EPSILON, STEPS = 1e-3, (0.5, 0.999), 1e-8, 2


@pytest.fixture
def tables(tables):
    return tables | {
        "data": {"crop_size": [32, 48], "batch_size": 2},
        "generator": {"name": "resnet", "channels": 4, "blocks": 1},
        "discriminator": {"name": "patchgan", "channels": 4, "layers": 1},
        "losses": [{"name": "lsgan"}, {"name": "cycle", "weight": 10.0}, {"name": "identity", "weight": 5.0}],
        "translation": {"steps": STEPS, "lr": LR, "constant_fraction": 0.0, "pool_size": 0},
        "hardware": {"accelerator": "cpu", "precision": "64-true"},
        "log": {"every": 1},
    }


class Training:
    """What daframework makes of a recipe: the networks before and after, the images it sees, and what it logs."""

    def __init__(self, tables, path, session):
        plugins = load_plugins(extra={"tiny": tiny})
        recipe = parse(tables, "r")
        source = make_dataset(plugins, recipe, "source", "train")
        target = Unlabelled(make_dataset(plugins, recipe, "target", "train"))
        data = recipe.data
        streams = {
            name: TrainingStream(dataset, data.crop_size, data.flip, recipe.seed, name)
            for name, dataset in (("source", source), ("target", target))
        }
        self.before, self.after = make_networks(plugins, recipe, 3), make_networks(plugins, recipe, 3)
        measure_domains(self.before, source, target)
        measure_domains(self.after, source, target)
        log = Recorder()
        made = session(log=log, precision=recipe.hardware.precision)
        train(made, self.after, streams, recipe, path, lambda step, translator: None)
        self.losses = [values for _, _, values in log.lines]
        self.batches = {
            name: list(
                training_batches(
                    stream,
                    batch_size=data.batch_size,
                    steps=range(recipe.translation.steps),
                    rank=0,
                    ranks=1,
                    workers=0,
                    device=torch.device("cpu"),
                )
            )
            for name, stream in streams.items()
        }

    def weights(self, which):
        """Float64 copies of all weights by network: st, ts, source, target."""
        networks = {
            "st": which.generators["source_to_target"],
            "ts": which.generators["target_to_source"],
            "source": which.discriminators["source"],
            "target": which.discriminators["target"],
        }
        return {
            name: {key: weight.detach().double().clone() for key, weight in network.named_parameters()}
            for name, network in networks.items()
        }

    def gradients(self):
        return {
            name: {key: weight.grad for key, weight in network.named_parameters()}
            for name, network in {
                "st": self.after.generators["source_to_target"],
                "ts": self.after.generators["target_to_source"],
                **self.after.discriminators,
            }.items()
        }


# --- the literal script ---


def normalise(x):
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) / ((x - mean).square().mean((2, 3), keepdim=True) + 1e-5).sqrt()


def reflect(x, width):
    return F.pad(x, (width, width, width, width), mode="reflect")


def generate(w, x):
    """7x7, two halvings, one residual block, two transposed doublings, 7x7, tanh."""
    x = normalise(F.conv2d(reflect(x, 3), w["encoder.0.0.weight"], w["encoder.0.0.bias"])).relu()
    x = normalise(F.conv2d(x, w["encoder.1.0.weight"], w["encoder.1.0.bias"], stride=2, padding=1)).relu()
    x = normalise(F.conv2d(x, w["encoder.2.0.weight"], w["encoder.2.0.bias"], stride=2, padding=1)).relu()
    y = normalise(F.conv2d(reflect(x, 1), w["encoder.3.change.0.0.weight"], w["encoder.3.change.0.0.bias"])).relu()
    x = x + normalise(F.conv2d(reflect(y, 1), w["encoder.3.change.1.weight"], w["encoder.3.change.1.bias"]))
    for name in ("decoder.0.0", "decoder.1.0"):
        x = F.conv_transpose2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=2, padding=1, output_padding=1)
        x = normalise(x).relu()
    return torch.tanh(F.conv2d(reflect(x, 3), w["head.last.weight"], w["head.last.bias"]))


def stages(w, x, prefix=""):
    """4x4 convolutions of stride 2, then 1."""
    first = F.conv2d(x, w[f"{prefix}stages.0.0.weight"], w[f"{prefix}stages.0.0.bias"], stride=2, padding=1)
    first = F.leaky_relu(first, 0.2)
    second = F.conv2d(first, w[f"{prefix}stages.1.0.weight"], w[f"{prefix}stages.1.0.bias"], stride=1, padding=1)
    return [first, F.leaky_relu(normalise(second), 0.2)]


def judge(w, x, prefix=""):
    return F.conv2d(stages(w, x, prefix)[-1], w[f"{prefix}last.weight"], w[f"{prefix}last.bias"], padding=1)


def l1(a, b):
    return (a - b).abs().mean()


class Adam:
    """Kingma and Ba, arXiv 1412.6980, algorithm 1."""

    def __init__(self):
        self.m, self.v = {}, {}

    def update(self, weights, gradients, t, lr):
        for key, g in gradients.items():
            self.m[key] = BETAS[0] * self.m.get(key, 0) + (1 - BETAS[0]) * g
            self.v[key] = BETAS[1] * self.v.get(key, 0) + (1 - BETAS[1]) * g * g
            m_hat, v_hat = self.m[key] / (1 - BETAS[0] ** t), self.v[key] / (1 - BETAS[1] ** t)
            network, name = key
            weights[network][name] = weights[network][name] - lr * m_hat / (v_hat.sqrt() + EPSILON)


def gradients_of(total, weights, networks):
    """Gradients of ``total`` by (network, name); 0 for what it does not depend on."""
    leaves = {(network, name): leaf for network in networks for name, leaf in weights[network].items()}
    found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    return {
        key: torch.zeros_like(leaf) if gradient is None else gradient
        for (key, leaf), gradient in zip(leaves.items(), found, strict=True)
    }


def literal(training, generator_losses, discriminator_losses, factors):
    """Follow the two objectives, given as functions of weights and images -> {name: (weight, loss)}."""
    weights = training.weights(training.before)
    adam_g, adam_d, logged, gradients = Adam(), Adam(), [], {}
    for step in range(STEPS):
        s, y = training.batches["source"][step].image.double(), training.batches["source"][step].label
        t = training.batches["target"][step].image.double()
        values = {}

        for network in weights.values():
            for name in network:
                network[name] = network[name].detach().requires_grad_()
        fake_t, fake_s = generate(weights["st"], s), generate(weights["ts"], t)
        terms = generator_losses(weights, s, y, t, fake_t, fake_s)
        total = sum(weight * loss for weight, loss in terms.values())
        gradients = gradients_of(total, weights, ("st", "ts"))
        values |= {f"generator/{name}": float(loss.detach()) for name, (_, loss) in terms.items()}

        total = 0
        for domain, real, fake in (("source", s, fake_s), ("target", t, fake_t)):
            terms = discriminator_losses(weights[domain], domain, real, fake.detach(), y)
            total = total + sum(weight * loss for weight, loss in terms.values())
            values |= {f"discriminator_{domain}/{name}": float(loss.detach()) for name, (_, loss) in terms.items()}
        judged = gradients_of(total, weights, ("source", "target"))

        adam_g.update(weights, gradients, step + 1, LR * factors[step])
        adam_d.update(weights, judged, step + 1, LR * factors[step])
        gradients |= judged
        logged.append(values)
    return weights, gradients, logged


def assert_agrees(training, weights, gradients, logged):
    for expected, found in zip(logged, training.losses, strict=True):
        assert found == pytest.approx(expected, rel=1e-6)
    now, was = training.weights(training.after), training.weights(training.before)
    for network, found in training.gradients().items():
        for name, gradient in found.items():
            expected = gradients[network, name]
            assert float(gradient.norm()) == pytest.approx(float(expected.norm()), rel=1e-6, abs=1e-12), (network, name)
            change, expected_change = (
                now[network][name] - was[network][name],
                weights[network][name] - was[network][name],
            )
            assert (change - expected_change).abs().max() < 1e-6 * LR * STEPS, (network, name)
    moved = [(now[n][k] - was[n][k]).abs().max() for n in now for k in now[n] if k.endswith("weight")]
    assert min(moved) > 0.1 * LR


def adversarial(weights, fake_t, fake_s, prefix=""):
    return (judge(weights["target"], fake_t, prefix) - 1).square().mean() + (
        judge(weights["source"], fake_s, prefix) - 1
    ).square().mean()


def distinguish(w, real, fake, prefix=""):
    return ((judge(w, real, prefix) - 1).square().mean() + judge(w, fake, prefix).square().mean()) / 2


def test_steps_of_cyclegan_agree_with_its_formulas(tables, tmp_path, session):
    training = Training(tables, tmp_path / "a.pt", session)

    def generators(w, s, y, t, fake_t, fake_s):
        cycle = l1(generate(w["ts"], fake_t), s) + l1(generate(w["st"], fake_s), t)
        identity = l1(generate(w["st"], t), t) + l1(generate(w["ts"], s), s)
        return {"lsgan": (1, adversarial(w, fake_t, fake_s)), "cycle": (10, cycle), "identity": (5, identity)}

    def discriminators(w, domain, real, fake, y):
        return {"lsgan": (1, distinguish(w, real, fake))}

    assert_agrees(training, *literal(training, generators, discriminators, factors=(1.0, 0.5)))


def test_steps_of_semantic_adversarial_training_agree_with_its_formulas(tables, tmp_path, session):
    tables["discriminator"] = {"name": "semantic", "channels": 4, "layers": 1, "decoder_channels": 4}
    tables["losses"] = [
        {"name": "lsgan"},
        {"name": "semantic_discriminator", "weight": 2.0},
        {"name": "weighted_reconstruction", "weight": 10.0},
    ]
    training = Training(tables, tmp_path / "a.pt", session)
    decoders = {domain: training.before.discriminators[domain].decoder.double() for domain in ("source", "target")}

    # Median frequency balancing (arXiv 1411.4734), scaled to mean 1 over the labelled pixels.
    labels = [tiny.blocks(split="train")[index].label for index in range(6)]
    pixels = [sum(int((label == c).sum()) for label in labels) for c in range(3)]
    present = [sum(int((label != 255).sum()) for label in labels if (label == c).any()) for c in range(3)]
    raw = [where / count for where, count in zip(present, pixels, strict=True)]
    scale = sum(pixels) / sum(one * count for one, count in zip(raw, pixels, strict=True))
    class_weights = torch.tensor([one * scale for one in raw]).float().double()
    assert 0.1 < class_weights.min() < 0.8 and 1.2 < class_weights.max() < 10

    def segment(w, domain, x):
        inner = {name.removeprefix("decoder."): leaf for name, leaf in w.items() if name.startswith("decoder.")}
        return functional_call(decoders[domain], inner, (x, stages(w, x, "patchgan.")))

    def cross_entropy(logits, y):
        log_probability = logits - logits.exp().sum(1, keepdim=True).log()
        counted = y != 255
        picked = log_probability.gather(1, torch.where(counted, y, 0)[:, None])[:, 0]
        return -picked[counted].sum() / counted.sum()

    def generators(w, s, y, t, fake_t, fake_s):
        weight = torch.cat([class_weights, torch.ones(1)])[torch.where(y == 255, 3, y)]
        source_cycle = (weight * (generate(w["ts"], fake_t) - s).abs().mean(1)).mean()
        return {
            "lsgan": (1, adversarial(w, fake_t, fake_s, "patchgan.")),
            "semantic_discriminator": (2, cross_entropy(segment(w["target"], "target", fake_t), y)),
            "weighted_reconstruction": (10, source_cycle + l1(generate(w["st"], fake_s), t)),
        }

    def discriminators(w, domain, real, fake, y):
        seen = real if domain == "source" else fake
        return {
            "lsgan": (1, distinguish(w, real, fake, "patchgan.")),
            "semantic_discriminator": (2, cross_entropy(segment(w, domain, seen), y)),
        }

    assert_agrees(training, *literal(training, generators, discriminators, factors=(1.0, 0.5)))


# --- plain CycleGAN inside the semantic method ---


@pytest.mark.parametrize("semantic_head", [False, True])
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_without_its_semantics_the_method_is_cyclegan_to_the_last_bit(
    tables, tmp_path, session, semantic_head, ema_decay
):
    tables["hardware"]["precision"] = "32-true"
    tables["translation"] |= {"steps": 5, "pool_size": 3, "ema_decay": ema_decay}
    plain = Training(tables, tmp_path / "plain.pt", session)
    tables["discriminator"] |= {"name": "semantic", "semantic_head": semantic_head}
    tables["losses"][1] = {"name": "weighted_reconstruction", "weight": 10.0, "class_weights": "none"}
    method = Training(tables, tmp_path / "method.pt", session)
    one, two = plain.weights(plain.after), method.weights(method.after)
    for direction in ("st", "ts"):
        assert all(torch.equal(weight, two[direction][name]) for name, weight in one[direction].items())
    for domain in ("source", "target"):
        assert all(torch.equal(weight, two[domain][f"patchgan.{name}"]) for name, weight in one[domain].items())
    renamed = [
        {name.replace("weighted_reconstruction", "cycle"): v for name, v in row.items()} for row in method.losses
    ]
    assert renamed == plain.losses
