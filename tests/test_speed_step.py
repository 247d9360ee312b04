"""The benchmark of a training step: its plain reference is the same networks and the same objective."""

import json
from itertools import chain

import pytest
import torch

from daframework.networks import make_networks
from daframework.registry import load_plugins

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("speed")


@pytest.fixture
def both(request):
    """Our networks and the reference's for the sizes so called, with the same weights, narrow enough for a test."""
    import loops
    import reference

    sizes = getattr(loops, request.param)
    sizes = sizes | {"generator": sizes["generator"] | {"channels": 8, "blocks": 2}, "size": (32, 32)}
    made = loops.recipe(sizes, "cyclegan", 2, "cpu", {"precision": "32-true"})
    ours = make_networks(load_plugins(), made, loops.CLASSES)
    model = reference.CycleGAN(sizes["generator"], sizes["discriminator"], sizes["identity"], "cpu")
    pairs = (
        (model.g_a, ours.generators["source_to_target"]),
        (model.g_b, ours.generators["target_to_source"]),
        (model.d_a, ours.discriminators["target"]),
        (model.d_b, ours.discriminators["source"]),
    )
    torch.manual_seed(0)  # a ReLU that rounding turns over changes single gradients, which some draws would show
    with torch.no_grad():
        for plain, network in pairs:
            for one, other in zip(plain.parameters(), network.parameters(), strict=True):
                other.normal_(0, 0.05)
                one.copy_(other)
    return sizes, made, ours, model


@pytest.mark.parametrize("both", ["PAPER", "RECIPE"], indirect=True)
def test_the_plain_loop_takes_the_same_step(both, monkeypatch):
    import loops

    sizes, made, ours, model = both
    monkeypatch.setattr(loops, "make_networks", lambda plugins, recipe, classes: ours)
    dataset = loops.Noise(sizes["size"])
    chosen = []
    draw = torch.randint

    def note(*arguments, **options):
        chosen.append(draw(*arguments, **options))
        return chosen[-1]

    steps = loops.bare_steps(made, loops.Fabric(accelerator="cpu", devices=1))
    monkeypatch.setattr(loops.torch, "randint", note)
    next(steps)
    source, target = (loops.to_float(dataset.images[index]) for index in chosen[-1])
    model.step(source, target)
    for plain, network in (
        (model.g_a, ours.generators["source_to_target"]),
        (model.g_b, ours.generators["target_to_source"]),
        (model.d_a, ours.discriminators["target"]),
        (model.d_b, ours.discriminators["source"]),
    ):
        # The gradients: what Adam makes of them in its first step is little more than their sign.
        gradients = [torch.cat([one.grad.flatten() for one in net.parameters()]) for net in (plain, network)]
        torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3 * float(gradients[0].abs().max()))


def test_it_prints_and_keeps_what_it_measured_and_measures_no_rate_that_no_run_uses(script, tmp_path, monkeypatch):
    import loops

    monkeypatch.setitem(loops.RECIPE, "size", (32, 32))
    tiny = ["--sizes", "recipe", "--rounds", 1, "--block", 1, "--precision", "32-true"]
    code, text, errors = script("step.py", *tiny, "--no-memory", "--device", "cpu", "--out", tmp_path / "step.json")
    assert code == 0, errors
    found = json.loads((tmp_path / "step.json").read_text())
    assert [one["method"] for one in found["steps"]] == ["cyclegan", "semantic_cyclegan"]
    for one in found["steps"]:
        assert one["times_reference_same_batch"] > 0 and 0 < one["share_of_matrix_rate"] < 1
    assert found["matrix_operations_per_second"].keys() == {"float32"}
    assert "overhead" in found["steps"][0]
    assert {"commit", "processor"} <= found["environment"].keys()
    assert text.splitlines()[-1].startswith("semantic_cyclegan / cyclegan, recipe, batch 4:")


def test_precisions_agree_where_their_means_differ_by_less_than_seeds_do():
    import precisions

    seeds = {"32-true": [{"loss": 1.0}, {"loss": 1.2}], "bf16-mixed": [{"loss": 1.1}, {"loss": 1.3}]}
    (agreeing,) = precisions.compare(seeds)
    assert agreeing["within"]
    seeds["bf16-mixed"] = [{"loss": 2.0}, {"loss": 2.0}]
    (apart,) = precisions.compare(seeds)
    assert not apart["within"]
    assert [apart[one]["mean"] for one in precisions.PRECISIONS] == pytest.approx([1.1, 2.0])


def test_the_mean_of_everything_the_reference_tells_is_a_number():
    import reference

    model = reference.CycleGAN(
        {"channels": 4, "blocks": 1, "upsample": "transposed", "head": "paint"},
        {"channels": 4, "layers": 1, "norm": "instance"},
        True,
        "cpu",
    )
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    losses = next(reference.steps(model, images, images.flip(-1), 2))
    assert len(losses) == 10 and all(value == value for value in losses.values())
    assert all(parameter.requires_grad for parameter in chain(model.d_a.parameters(), model.d_b.parameters()))
