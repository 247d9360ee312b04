"""Losses that are handed the model trained on the source: which weights it has, and that they stay."""

import pytest
import tiny
import torch
from test_run import comparable, run
from test_training import same

from daframework import hookimpl
from daframework.errors import RunError, StoppedError
from daframework.interfaces import Loss
from daframework.registry import load_plugins

SEEN = []


class Consistent(Loss):
    """A translation must look to the source's model as its original does; notes the model it was handed."""

    needs_source_model = True

    def take_source_model(self, model):
        SEEN.append((model, {name: weight.clone() for name, weight in model.state_dict().items()}))
        assert not model.training and not any(weight.requires_grad for weight in model.parameters())
        self.model = (model,)

    def generator_loss(self, images):
        was, now = (self.model[0](image).softmax(1) for image in (images.source, images.fake_target))
        assert not was.requires_grad and now.requires_grad
        return (now - was).abs().mean()


class Holding(Consistent):
    """Keeps it as a part of its own."""

    def take_source_model(self, model):
        super().take_source_model(model)
        self.held = model


class Proud(Loss):
    """Does not ask."""

    def take_source_model(self, model):
        raise AssertionError("not asked for")

    def generator_loss(self, images):
        return images.fake_target.mean()


class Offers:
    @hookimpl
    def daf_losses(self):
        return {"consistent": Consistent, "holding": Holding, "proud": Proud}


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(extra={"tiny": tiny, "offers": Offers()})


@pytest.fixture
def tables(tables):
    SEEN.clear()
    tables["losses"] = [{"name": "consistent", "weight": 3.0}, {"name": "least_squares"}]
    tables["translation"]["directions"] = ["source_to_target"]
    return tables


@pytest.mark.parametrize("name", ["consistent", "holding"])
def test_a_loss_gets_the_weights_of_source_only_and_training_does_not_change_them(
    plugins, tables, tmp_path, session, name
):
    tables["losses"][0]["name"] = name
    run(plugins, tables, tmp_path / "run", session)
    ((model, before),) = SEEN
    kept = torch.load(tmp_path / "run/checkpoints/source_only.pt", weights_only=True)["model"]
    assert same(before, kept) and same(dict(model.state_dict()), kept)
    assert not same(kept, torch.load(tmp_path / "run/checkpoints/oracle.pt", weights_only=True)["model"])
    assert all(weight.grad is None and not weight.requires_grad for weight in model.parameters())


def test_what_the_loss_sees_reaches_the_generator(plugins, tables, tmp_path, session):
    kept = []
    for weight in (0.0, 50.0):
        tables["losses"][0]["weight"] = weight
        run(plugins, tables, tmp_path / str(weight), session)
        kept.append(torch.load(tmp_path / str(weight) / "checkpoints/generator.pt", weights_only=True)["generator"])
    assert not same(*kept)


def test_a_loss_that_asks_keeps_source_only_in_a_run_without_it(plugins, tables, tmp_path, session):
    tables["downstream"]["source_only"] = False
    run(plugins, tables, tmp_path / "run", session)
    assert len(SEEN) == 1 and (tmp_path / "run/checkpoints/source_only.pt").exists()


def test_only_a_loss_that_asks_is_handed_a_model(plugins, tables, tmp_path, session):
    tables["losses"][0] = {"name": "proud"}
    run(plugins, tables, tmp_path / "run", session)
    assert SEEN == []


@pytest.mark.parametrize("name", ["consistent", "holding"])
def test_a_run_stopped_in_its_translation_goes_on_with_the_same_model(plugins, tables, tmp_path, session, name):
    tables["losses"][0]["name"] = name
    run(plugins, tables, tmp_path / "whole", session)
    with pytest.raises(StoppedError, match="of the translation"):
        run(plugins, tables, tmp_path / "parts", session, stop_after=19)
    run(plugins, tables, tmp_path / "parts", session)
    assert comparable(tmp_path / "parts") == comparable(tmp_path / "whole")
    assert len(SEEN) == 3 and all(same(before, SEEN[0][1]) for _, before in SEEN)


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_the_model_takes_the_images_of_every_number_format(plugins, tables, tmp_path, session, precision):
    tables["hardware"]["precision"] = precision
    run(plugins, tables, tmp_path / "run", session)
    assert len(SEEN) == 1


def test_a_model_that_is_gone_is_missed_with_a_remedy(plugins, tables, tmp_path, session):
    path = tmp_path / "run"
    with pytest.raises(StoppedError):
        run(plugins, tables, path, session, stop_after=14)
    (path / "checkpoints" / "source_only.pt").unlink()
    scores = path / "scores" / "source_only.json"
    with pytest.raises(RunError, match=rf"no longer its model; delete {scores} to train it"):
        run(plugins, tables, path, session)
    scores.unlink()
    run(plugins, tables, path, session)
    run(plugins, tables, tmp_path / "whole", session)
    assert comparable(path) == comparable(tmp_path / "whole")
