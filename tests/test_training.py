"""The translation's loop and the task's: what they train, when they stop, and that going on is exact."""

import math

import attrs
import pytest
import tiny
import torch
from conftest import Recorder
from torch import nn

from daframework import hookimpl
from daframework.adapt.loop import train
from daframework.adapt.step import GeneratorObjective
from daframework.build import make_dataset, make_task
from daframework.data.stream import TrainingStream
from daframework.data.unlabelled import Unlabelled
from daframework.downstream.fit import fit, warmup_cosine
from daframework.downstream.score import score
from daframework.errors import DataError, PluginError, StoppedError, TrainingError
from daframework.interfaces import Loss
from daframework.networks import make_networks
from daframework.recipes.read import parse
from daframework.registry import load_plugins


class Turning(Loss):
    """A finite number until the third time it is asked, and then none."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def generator_loss(self, images):
        self.asked += 1
        return images.fake_target.mean() * (math.nan if self.asked >= 3 else 1.0)


class Steep(Loss):
    """Zero, with a gradient that is no number."""

    def generator_loss(self, images):
        return (images.fake_target * 0).sum().sqrt()


class HalfFrozen(tiny.Judge):
    def __init__(self, *, num_classes: int) -> None:
        super().__init__(num_classes=num_classes)
        self.encoder.requires_grad_(False)


class Learned(Loss):
    """Has a weight of its own, trained with the generators."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def generator_loss(self, images):
        return (images.fake_target.mean() - self.scale).square()


class Normed(tiny.Painter):
    """With statistics that are counted and not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, image):
        return torch.tanh(self.norm(self.body(image)))


class DroppingOut(tiny.Pixels):
    def model(self):
        return nn.Sequential(nn.Dropout(0.5), super().model())


class Exploding(tiny.Pixels):
    """Its loss is no number from the given call on."""

    calls = 0

    def loss(self, prediction, label):
        self.calls += 1
        return super().loss(prediction, label) * (math.nan if self.calls >= 3 else 1.0)


class More:
    @hookimpl
    def daf_losses(self):
        return {"turning": Turning, "steep": Steep, "learned": Learned}

    @hookimpl
    def daf_discriminators(self):
        return {"half_frozen": HalfFrozen}

    @hookimpl
    def daf_generators(self):
        return {"normed": Normed}


@pytest.fixture(scope="module")
def more():
    return load_plugins(extra={"tiny": tiny, "more": More()})


class Adaptation:
    """Training of a recipe's translation into one checkpoint file."""

    def __init__(self, plugins, tables, path, target=None):
        self.plugins, self.recipe, self.path, self.target = plugins, parse(tables, "r"), path, target
        self.drawn = []

    def run(self, session):
        self.networks = make_networks(self.plugins, self.recipe, 3)
        source = make_dataset(self.plugins, self.recipe, "source", "train")
        target = Unlabelled(self.target or make_dataset(self.plugins, self.recipe, "target", "train"))
        data = self.recipe.data
        streams = {
            name: TrainingStream(dataset, data.crop_size, data.flip, self.recipe.seed, name)
            for name, dataset in (("source", source), ("target", target))
        }
        return train(session, self.networks, streams, self.recipe, self.path, self.draw)

    def draw(self, step, translator):
        self.drawn.append(step)

    def saved(self):
        """All that the checkpoint holds but its name."""
        state = torch.load(self.path, weights_only=True)
        del state["checkpoint"]
        return state


@pytest.fixture
def adaptation(more, tables, tmp_path):
    tables["log"] = {"every": 1, "checkpoint_every": 100}
    return lambda name="a.pt", target=None: Adaptation(more, tables, tmp_path / name, target)


def same(one, other):
    """Whether two nested states hold the same, bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


# --- going on where a run was stopped ---


@pytest.mark.parametrize("stops", [[2], [1, 1, 1]])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"translation": {"steps": 4, "pool_size": 2, "lr": 0.01, "ema_decay": 0.7, "constant_fraction": 0.25}},
        {"losses": [{"name": "learned"}, {"name": "least_squares"}, {"name": "tiny_identity"}]},
        {"generator": {"name": "painter", "dropout": 0.5}},
        {"generator": {"name": "normed"}},
        {"hardware": {"accelerator": "cpu", "workers": 1}},
        {"hardware": {"accelerator": "cpu", "precision": "64-true"}},
        {"hardware": {"accelerator": "cpu", "precision": "bf16-mixed"}},
        {
            "hardware": {"accelerator": "cpu", "checkpoint_activations": True},
            "generator": {"name": "painter", "dropout": 0.5},
        },
        {"translation": {"steps": 4, "accumulate": 2, "pool_size": 2}},
    ],
    ids=["plain", "average", "learned", "dropout", "norm", "workers", "double", "half", "recomputed", "accumulated"],
)
def test_a_translation_that_was_stopped_goes_on_exactly(adaptation, session, tables, changes, stops):
    tables |= changes
    precision = tables["hardware"].get("precision", "32-true")
    whole, parts = adaptation("whole.pt"), adaptation("parts.pt")
    undisturbed = whole.run(session(precision=precision))
    for stop in stops:
        with pytest.raises(StoppedError, match=r"stopped after step \d of 4 of the translation"):
            parts.run(session(stop_after=stop, precision=precision))
        torch.manual_seed(stop)  # whatever else the process drew
    resumed = parts.run(session(precision=precision))
    assert parts.saved()["done"] == 4
    assert same(whole.saved(), parts.saved())
    assert same(undisturbed.state_dict(), resumed.state_dict())


def test_a_training_that_is_asked_to_save_does_so_and_goes_on(adaptation, session, tables):
    saved = []

    class Watching(Recorder):
        def advance(self, done):
            super().advance(done)
            saved.append(one.path.exists())

    tables["log"] = {"every": 1, "checkpoint_every": 100}
    one = adaptation()
    made = session(log=Watching())
    one.run(attrs.evolve(made, saving=lambda: made.log.steps == 2))
    assert saved == [False, False, True, True]


# --- larger steps and crops than memory allows at once ---


def test_two_batches_in_a_step_train_as_one_of_both_images(adaptation, session, tables):
    # Whole images, so that only their order is drawn; a pool would exchange them in another order.
    tables["data"] = {"crop_size": [32, 48], "flip": False, "batch_size": 4}
    tables["translation"] = {"steps": 2, "pool_size": 0}
    tables["hardware"]["precision"] = "64-true"
    one = adaptation("one.pt").run(session(precision="64-true"))
    tables["data"]["batch_size"], tables["translation"]["accumulate"] = 2, 2
    two = adaptation("two.pt").run(session(precision="64-true"))
    for weight, other in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=0, atol=1e-9)


def test_a_step_of_two_batches_tells_the_mean_of_their_losses(adaptation, session, tables):
    tables["data"] = {"crop_size": [32, 48], "flip": False, "batch_size": 4}
    tables["translation"] = {"steps": 1, "pool_size": 0}
    told = []
    for batch_size, batches in ((4, 1), (2, 2)):
        tables["data"]["batch_size"], tables["translation"]["accumulate"] = batch_size, batches
        log = Recorder()
        adaptation(f"{batches}.pt").run(session(log=log))
        told.append(log.lines[-1][2])
    assert told[0] == pytest.approx(told[1], rel=1e-5)


def test_activations_computed_twice_give_the_same_weights(adaptation, session, tables):
    tables["generator"] = {"name": "painter", "dropout": 0.5}
    kept = adaptation("kept.pt").run(session())
    tables["hardware"]["checkpoint_activations"] = True
    computed = adaptation("computed.pt").run(session())
    assert same(kept.state_dict(), computed.state_dict())


def test_recomputing_keeps_less_for_the_way_back(adaptation, tables):
    held = []
    for recompute in (False, True):
        tables["hardware"]["checkpoint_activations"] = recompute
        size = 0

        def pack(tensor):
            nonlocal size
            size += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            one = adaptation(f"{recompute}.pt")
            networks = make_networks(one.plugins, one.recipe, 3)
            objective = GeneratorObjective(networks, recompute=recompute)
            image = torch.zeros(2, 3, 32, 48)
            objective(image, torch.zeros(2, 32, 48, dtype=torch.int64), image)
        held.append(size)
    assert held[1] < held[0]


def test_the_same_recipe_trains_the_same_weights(adaptation, session, tables):
    tables["generator"]["dropout"] = 0.5
    torch.manual_seed(1)
    one = adaptation("one.pt").run(session()).state_dict()
    torch.manual_seed(2)
    assert same(one, adaptation("two.pt").run(session()).state_dict())
    tables["seed"] = 5
    assert not same(one, adaptation("three.pt").run(session()).state_dict())


def test_what_stops_at_its_last_step_is_finished(adaptation, session):
    one = adaptation()
    one.run(session(stop_after=4))
    assert one.saved()["done"] == 4


def test_when_to_log_draw_and_save_changes_no_weight(adaptation, session, tables):
    one = adaptation("one.pt").run(session()).state_dict()
    tables["log"] = {"every": 3, "samples_every": 1, "checkpoint_every": 1}
    often = adaptation("two.pt")
    assert same(one, often.run(session()).state_dict())
    assert often.drawn == [1, 2, 3, 4]


def test_samples_are_drawn_at_the_end_if_not_before(adaptation, session):
    one = adaptation()
    one.run(session())
    assert one.drawn == [4]


def test_the_log_says_every_loss_by_its_name(adaptation, session):
    log = Recorder()
    adaptation().run(session(log=log))
    assert log.stages == [("translation", 4, 0)] and [step for _, step, _ in log.lines] == [1, 2, 3, 4]
    assert set(log.lines[0][2]) == {
        "generator/least_squares",
        "generator/tiny_cycle",
        "discriminator_source/least_squares",
        "discriminator_target/least_squares",
    }


def test_no_steps_return_the_generator_as_it_was_built(more, adaptation, session, tables):
    tables["translation"]["steps"] = 0
    one = adaptation()
    trained = one.run(session())
    assert same(trained.state_dict(), make_networks(more, one.recipe, 3).generators["source_to_target"].state_dict())
    assert one.drawn == [0]


# --- what is trained ---


def test_generators_discriminators_and_the_losses_own_weights_are_trained(more, adaptation, session, tables):
    tables["losses"] += [{"name": "learned"}]
    one = adaptation()
    one.run(session())
    before = make_networks(more, one.recipe, 3)
    for now, was in (
        *zip(one.networks.generators.values(), before.generators.values(), strict=True),
        *zip(one.networks.discriminators.values(), before.discriminators.values(), strict=True),
        (one.networks.terms[2].loss, before.terms[2].loss),
    ):
        assert not any(same(a.detach(), b.detach()) for a, b in zip(now.parameters(), was.parameters(), strict=True))


def test_a_weight_that_a_discriminator_freezes_stays_frozen(more, adaptation, session, tables):
    tables["discriminator"] = {"name": "half_frozen"}
    one = adaptation()
    one.run(session())
    before = make_networks(more, one.recipe, 3)
    for domain, network in one.networks.discriminators.items():
        assert same(network.encoder.state_dict(), before.discriminators[domain].encoder.state_dict())
        assert not same(network.realness.state_dict(), before.discriminators[domain].realness.state_dict())
        assert all(not p.requires_grad and p.grad is None for p in network.encoder.parameters())
        assert all(p.requires_grad for p in network.realness.parameters())


def test_the_average_follows_the_generator_and_translates_in_its_place(adaptation, session, tables):
    tables["translation"] |= {"steps": 3, "ema_decay": 0.75}
    weights = []

    class Watching(Adaptation):
        def draw(self, step, translator):
            live = self.networks.generators["source_to_target"]
            weights.append([p.detach().clone() for p in live.parameters()])

    tables["log"]["samples_every"] = 1
    one = adaptation()
    one.draw = lambda step, translator: Watching.draw(one, step, translator)
    translator = one.run(session())
    first, second, third = weights
    for averaged, a, b, c in zip(translator.parameters(), first, second, third, strict=True):
        assert torch.allclose(averaged, 0.75 * (0.75 * a + 0.25 * b) + 0.25 * c, atol=1e-7)


def test_labels_of_target_images_are_never_asked_for(adaptation, session):
    guarded = tiny.Guarded("dark", "train", 6, (32, 48), tiny.CLASSES)
    adaptation(target=guarded).run(session())


# --- numbers that are none ---


def test_a_loss_that_is_no_number_stops_by_name_and_step_and_keeps_the_last_good_checkpoint(
    adaptation, session, tables
):
    tables["losses"] += [{"name": "turning"}]
    tables["translation"]["steps"] = 9
    tables["log"] = {"every": 9, "checkpoint_every": 2}
    one = adaptation()
    with pytest.raises(TrainingError) as caught:
        one.run(session())
    assert str(caught.value) == (
        f"loss 'generator/turning' is not a finite number at step 3; the last good checkpoint is {one.path}; "
        "lower the learning rate or a loss's weight, and start a new run"
    )
    assert one.saved()["done"] == 2
    assert all(tensor.isfinite().all() for tensor in one.saved()["generators"].values())


def test_a_loss_that_gives_no_scalar_is_named(adaptation, session, tables, monkeypatch):
    monkeypatch.setattr(tiny.Cycle, "generator_loss", lambda self, images: images.rec_source.abs().mean((1, 2, 3)))
    with pytest.raises(PluginError, match=r"loss 'tiny_cycle' must give a scalar, got a tensor of shape \(2,\)"):
        adaptation().run(session())


def test_an_error_inside_a_loss_says_in_which(adaptation, session, monkeypatch):
    def broken(self, images):
        return images.rec_source @ images.source_label

    monkeypatch.setattr(tiny.Cycle, "generator_loss", broken)
    with pytest.raises(RuntimeError) as caught:
        adaptation().run(session())
    assert caught.value.__notes__ == ["in loss 'tiny_cycle'"]


def test_a_generator_that_changes_the_size_is_named_by_its_direction(adaptation, session, monkeypatch):
    monkeypatch.setattr(tiny.Painter, "forward", lambda self, image: self.body(image)[..., 1:])
    with pytest.raises(PluginError, match="generator source_to_target must keep the shape"):
        adaptation().run(session())


def test_without_a_checkpoint_the_error_says_so(adaptation, session, tables):
    tables["losses"] += [{"name": "turning"}]
    one = adaptation()
    with pytest.raises(TrainingError, match="at step 3; no checkpoint was written yet; "):
        one.run(session())
    assert not one.path.exists()


def test_weights_that_are_no_numbers_are_never_saved(adaptation, session, tables):
    tables["losses"] = [{"name": "steep"}]
    tables["log"]["checkpoint_every"] = 1
    one = adaptation()
    with pytest.raises(TrainingError, match="no checkpoint was written yet"):
        one.run(session())
    assert not one.path.exists()


def test_an_image_that_cannot_be_used_is_named(adaptation, session, tables):
    tables["source"]["size"] = [16, 20]
    with pytest.raises(DataError, match=r"image train/\d: 16 x 20 .* is smaller than data\.crop_size 16 x 24"):
        adaptation().run(session())


# --- the task model ---


def fitted(plugins, tables, path, session, task=None, row="a_row"):
    recipe = parse(tables, "r")
    dataset = make_dataset(plugins, recipe, "source", "train")
    stream = TrainingStream(dataset, recipe.data.crop_size, recipe.data.flip, recipe.seed, "task")
    task = task or make_task(plugins, recipe, 3)
    return fit(session, task, stream, recipe, row, path, recipe.downstream.augment)


@pytest.mark.parametrize("stops", [[2], [1, 1, 1]])
@pytest.mark.parametrize("task", [None, DroppingOut(3, 4, 1)], ids=["plain", "dropout"])
def test_a_task_model_that_was_stopped_goes_on_exactly(plugins, tables, tmp_path, session, stops, task):
    tables["downstream"]["augment"] = {"gamma": 1.0, "hue": 0.1}
    whole = fitted(plugins, tables, tmp_path / "whole.pt", session(), task)
    for stop in stops:
        with pytest.raises(StoppedError, match=r"stopped after step \d of 4 of training on a_row"):
            fitted(plugins, tables, tmp_path / "parts.pt", session(stop_after=stop), task)
        torch.manual_seed(stop)
    parts = fitted(plugins, tables, tmp_path / "parts.pt", session(), task)
    assert same(whole.state_dict(), parts.state_dict())
    again = Recorder()
    assert same(
        fitted(plugins, tables, tmp_path / "parts.pt", session(log=again), task).state_dict(), parts.state_dict()
    )
    assert again.steps == 0


def test_every_row_starts_from_the_same_weights_and_sees_the_same_crops(plugins, tables, tmp_path, session):
    one = fitted(plugins, tables, tmp_path / "one.pt", session(), row="source_only")
    two = fitted(plugins, tables, tmp_path / "two.pt", session(), row="other")
    assert same(one.state_dict(), two.state_dict())


def test_augmentation_reaches_the_task_model(plugins, tables, tmp_path, session):
    one = fitted(plugins, tables, tmp_path / "one.pt", session())
    tables["downstream"]["augment"] = {"gain": [0.3, 1.3]}
    assert not same(one.state_dict(), fitted(plugins, tables, tmp_path / "two.pt", session()).state_dict())


@pytest.mark.parametrize("every, saved", [(1, 2), (9, 2), (3, 2)])
def test_a_task_loss_that_is_no_number_stops_and_is_never_saved(plugins, tables, tmp_path, session, every, saved):
    tables["downstream"]["steps"] = 9
    tables["log"] = {"every": every, "checkpoint_every": 2}
    with pytest.raises(
        TrainingError, match=r"the loss of training on a_row is not a finite number at step [34]; lower"
    ):
        fitted(plugins, tables, tmp_path / "a.pt", session(), Exploding(3, 4, 1))
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    assert state["done"] == saved and all(tensor.isfinite().all() for tensor in state["model"].values())


def test_the_task_models_learning_rate_rises_and_falls():
    found = [warmup_cosine(step, 20) for step in range(20)]
    assert found[:3] == [0.5, 1.0, 1.0]
    assert found[11] == pytest.approx(0.5) and found[19] == pytest.approx(0.5 * (1 + math.cos(math.pi * 17 / 18)))
    assert warmup_cosine(0, 1) == 1.0


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed"])
def test_every_image_is_scored_exactly_once_whatever_the_batch(plugins, tables, tmp_path, session, precision):
    tables["task"]["multiple"] = 8
    tables["target"] |= {"size": [27, 41], "images": 5}
    recipe = parse(tables, "r")
    task, dataset = make_task(plugins, recipe, 3), make_dataset(plugins, recipe, "target", "test")
    model = fitted(plugins, tables, tmp_path / "a.pt", session(precision=precision))
    found = [score(session(precision=precision), task, model, dataset, size, "scoring") for size in (1, 2, 5)]
    assert found[0].scores == found[1].scores == found[2].scores
    assert same([one.statistics for one in found], [found[0].statistics] * 3)
    with torch.no_grad():
        right = counted = 0
        for index in range(5):
            sample = dataset[index]
            padded = nn.functional.pad(sample.image[None] / 127.5 - 1, (0, 7, 0, 5), mode="replicate")
            guess = model(padded).argmax(1)[0, :27, :41]
            right += int((guess == sample.label)[sample.label != 255].sum())
            counted += int((sample.label != 255).sum())
    assert found[0].scores.pixel_accuracy == pytest.approx(right / counted, abs=1e-9)


def test_scoring_stops_when_asked(plugins, tables, tmp_path, session):
    recipe = parse(tables, "r")
    task, dataset = make_task(plugins, recipe, 3), make_dataset(plugins, recipe, "target", "test")
    with pytest.raises(StoppedError, match="stopped while scoring a_row"):
        score(session(stop_after=1), task, task.model(), dataset, 2, "scoring a_row")
