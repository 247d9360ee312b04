"""A recipe of one direction: its steps against a script by hand, that going on is exact, and a run of it."""

import copy

import pytest
import tiny
import torch
from test_exact_step import Training
from test_run import comparable, run
from test_training import Adaptation, same

from daframework import hookimpl
from daframework.data.decode import read_image
from daframework.errors import StoppedError
from daframework.registry import load_plugins

LR, BETAS, STEPS = 1e-3, (0.5, 0.999), 4


@pytest.fixture
def tables(tables):
    tables["losses"] = [{"name": "lsgan", "weight": 2.0}, {"name": "tiny_features", "weight": 3.0}]
    tables["translation"] |= {"directions": ["source_to_target"], "steps": STEPS, "lr": LR}
    return tables


# --- what a step does ---


def by_hand(training, factors):
    """Least squares of weight 2 and L1 between features of weight 3, each network by torch's Adam, in float64."""
    painter = copy.deepcopy(training.before.generators["source_to_target"]).double()
    judge = copy.deepcopy(training.before.discriminators["target"]).double()
    adam_g, adam_d = (torch.optim.Adam(one.parameters(), lr=LR, betas=BETAS) for one in (painter, judge))
    losses = []
    for step, factor in enumerate(factors):
        source, target = (training.batches[domain][step].image.double() for domain in ("source", "target"))
        for optimizer in (adam_g, adam_d):
            optimizer.param_groups[0]["lr"] = LR * factor

        fake = torch.tanh(painter.body(source) + source)
        first, last = painter.body[0], painter.body
        adversarial = (judge(fake).realness - 1).square().mean()
        features = (first(fake) - first(source)).abs().mean() + (last(fake) - last(source)).abs().mean()
        adam_g.zero_grad()
        (2 * adversarial + 3 * features).backward()
        adam_g.step()

        adam_d.zero_grad()  # also of what the generator's step left there
        told = ((judge(target).realness - 1).square().mean() + judge(fake.detach()).realness.square().mean()) / 2
        (2 * told).backward()
        adam_d.step()
        values = {"generator/lsgan": adversarial, "generator/tiny_features": features}
        values["discriminator_target/lsgan"] = told
        losses.append({name: float(value.detach()) for name, value in values.items()})
    return painter, judge, losses


def test_steps_of_one_direction_are_those_of_a_script_by_hand(tables, tmp_path, session):
    tables["translation"] |= {"pool_size": 0, "constant_fraction": 0.5}
    tables["hardware"]["precision"] = "64-true"
    tables["log"] = {"every": 1}
    training = Training(tables, tmp_path / "a.pt", session)
    assert list(training.after.generators) == ["source_to_target"] and list(training.after.discriminators) == ["target"]
    painter, judge, losses = by_hand(training, factors=(1.0, 1.0, 1.0, 0.5))
    for found, expected in zip(training.losses, losses, strict=True):
        assert found == pytest.approx(expected, rel=1e-6)
    for network, was, expected in (
        (training.after.generators["source_to_target"], training.before.generators["source_to_target"], painter),
        (training.after.discriminators["target"], training.before.discriminators["target"], judge),
    ):
        before = dict(was.named_parameters())
        for (name, weight), wanted in zip(network.named_parameters(), expected.parameters(), strict=True):
            assert (weight - wanted).abs().max() < 1e-6 * LR, name
            assert (weight - before[name]).abs().max() > 0.1 * LR, name


def test_the_way_there_is_trained_as_in_both_directions_where_the_losses_do_not_join_them(
    plugins, tables, tmp_path, session
):
    tables["losses"] = [{"name": "least_squares"}]
    one = Adaptation(plugins, tables, tmp_path / "one.pt")
    one.run(session())
    tables["translation"]["directions"] = ["source_to_target", "target_to_source"]
    both = Adaptation(plugins, tables, tmp_path / "both.pt")
    both.run(session())
    for kind, name in (("generators", "source_to_target"), ("discriminators", "target")):
        pair = [getattr(adaptation.networks, kind)[name].state_dict() for adaptation in (one, both)]
        assert all(torch.allclose(pair[0][key], pair[1][key], atol=1e-6) for key in pair[0]), kind


# --- going on ---


@pytest.mark.parametrize("stops", [[1], [3], [1, 1, 1]])
@pytest.mark.parametrize("ema_decay", [0.0, 0.7])
def test_a_one_sided_translation_that_was_stopped_goes_on_exactly(plugins, tables, tmp_path, session, stops, ema_decay):
    tables["translation"] |= {"pool_size": 2, "ema_decay": ema_decay}
    tables["generator"]["dropout"] = 0.5
    whole, parts = (Adaptation(plugins, tables, tmp_path / f"{name}.pt") for name in ("whole", "parts"))
    undisturbed = whole.run(session())
    for stop in stops:
        with pytest.raises(StoppedError, match=r"stopped after step \d of 4 of the translation"):
            parts.run(session(stop_after=stop))
        torch.manual_seed(stop)
    resumed = parts.run(session())
    assert same(whole.saved(), parts.saved()) and same(undisturbed.state_dict(), resumed.state_dict())
    assert not any("target_to_source" in name for name in whole.saved()["generators"])


# --- a run ---


def test_a_run_of_one_direction_gives_the_same_rows_and_goes_on_to_the_same_results(plugins, tables, tmp_path, session):
    results, _ = run(plugins, tables, tmp_path / "whole", session)
    assert [row.method for row in results.rows] == ["source_only", "tiny", "oracle"]
    assert results.rows[1].content_preservation is not None
    grid = read_image(tmp_path / "whole" / "samples" / "step_000004.png")
    assert grid.shape == (3, 4 * 32 + 3 * 2, 3 * 48 + 2 * 2)  # source, fake_target, label
    with pytest.raises(StoppedError, match="of the translation"):
        run(plugins, tables, tmp_path / "parts", session, stop_after=19)
    run(plugins, tables, tmp_path / "parts", session)
    assert comparable(tmp_path / "parts") == comparable(tmp_path / "whole")


def test_a_generator_of_one_direction_measures_the_domains_in_its_order(plugins, tables, tmp_path, session):
    asked = []

    class Noting(tiny.Painter):
        def prepare(self, source, target):
            asked.append((float(source[0].image.float().mean()), float(target[0].image.float().mean())))
            assert target[0].label is None

    class Offers:
        @hookimpl
        def daf_generators(self):
            return {"noting": Noting}

    tables["generator"] = {"name": "noting"}
    run(load_plugins(extra={"tiny": tiny, "offers": Offers()}), tables, tmp_path / "run", session)
    ((bright, dark),) = asked
    assert bright > dark
