"""An ensemble of generators, and one that draws at random."""

import json

import pytest
import tiny
import torch
from PIL import Image
from test_checked import Listed, sample
from test_run import comparable, run
from test_training import same
from torch import nn

from daframework import hookimpl
from daframework.adapt.translate import translate_folder, translate_set
from daframework.adapt.translated_set import open_translated
from daframework.build import make_task
from daframework.data.decode import read_image
from daframework.data.stream import to_float
from daframework.downstream.fit import fit
from daframework.errors import StoppedError
from daframework.interfaces import Generator, Sample
from daframework.recipes.read import parse
from daframework.registry import load_plugins
from daframework.runs.context import checked, stream
from daframework.semantics import MeanProbability


class Tinted(Generator):
    """The first member is darker, the second lighter, and so on; with noise, each draws at random."""

    def __init__(self, *, members: int = 2, noise: float = 0.0, tint: float = -0.3) -> None:
        super().__init__()
        self.members, self.noise, self.tint = members, noise, tint

    def translators(self):
        return [Tinted(members=1, noise=self.noise, tint=0.6 * member - 0.3) for member in range(self.members)]

    def forward(self, image):
        drawn = self.noise * torch.randn(image.shape, device=image.device)
        return (image + self.tint + drawn).clamp(-1, 1)


class Offers:
    @hookimpl
    def daf_generators(self):
        return {"tinted": Tinted}


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(extra={"tiny": tiny, "offers": Offers()})


@pytest.fixture
def tables(tables):
    del tables["discriminator"], tables["losses"]
    return tables | {"generator": {"name": "tinted", "noise": 0.1}, "translation": {"steps": 0}}


GREY = torch.full((3, 8, 12), 128, dtype=torch.uint8)


def grey(count):
    """Images that no tint or noise takes to the ends of the range."""
    return Listed([Sample(GREY, torch.zeros(8, 12, dtype=torch.uint8), str(place)) for place in range(count)])


def pictures(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*") if file.is_file()}


# --- a translated set ---


def test_a_set_holds_every_members_images_and_its_labels_once(tmp_path, session):
    given = [sample(8, 12, label=place, name=str(place)) for place in range(3)]
    translate_set(session(), Tinted(members=3), Listed(given), tmp_path / "out", batch_size=2, seed=0)
    files = [f"{place:06d}_{place}.png" for place in range(3)]
    folders = ("images", "images_1", "images_2", "labels")
    assert set(pictures(tmp_path / "out")) == {"index.json", *(f"{kind}/{file}" for kind in folders for file in files)}
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert (index["names"], index["versions"]) == (["0", "1", "2"], 3)
    assert set(index["checksums"]) == {f"{kind}/{file}" for kind in folders for file in files}
    found = open_translated(tmp_path / "out", Listed(given))
    assert len(found) == 3
    for member, dataset in enumerate(found):
        assert len(dataset) == 3 and dataset.classes == tiny.CLASSES
        for one, original in zip((dataset[place] for place in range(3)), given, strict=True):
            shifted = (to_float(original.image) + 0.6 * member - 0.3).clamp(-1, 1)
            assert (to_float(one.image) - shifted).abs().max() < 0.51 / 127.5
            assert one.name == original.name and torch.equal(one.label, original.label)


def test_progress_counts_the_images_of_all_members(tmp_path, session):
    given = Listed([sample(name=str(place)) for place in range(3)])
    one = session()
    translate_set(one, Tinted(), given, tmp_path / "whole", batch_size=2, seed=0)
    assert one.log.stages == [("translating", 6, 0)] and one.log.steps == 4
    with pytest.raises(StoppedError, match="stopped after 5 of 6 translated images"):
        translate_set(session(stop_after=3), Tinted(), given, tmp_path / "part", batch_size=2, seed=0)
    assert [file.name for file in tmp_path.iterdir()] == ["whole"]


# --- what a generator draws ---


def test_what_a_set_draws_follows_from_the_seed_alone(tmp_path, session):
    given = grey(4)

    def translated(name, seed, before):
        torch.manual_seed(before)
        translate_set(session(), Tinted(noise=0.1), given, tmp_path / name, batch_size=2, seed=seed)
        return pictures(tmp_path / name)

    one = translated("one", seed=3, before=1)
    assert one == translated("two", seed=3, before=2)
    other = translated("three", seed=4, before=1)
    assert all(one[name] != other[name] for name in one if name.startswith("images"))


def test_no_two_batches_or_members_draw_the_same(tmp_path, session):
    given = grey(4)
    translate_set(session(), Tinted(noise=0.1), given, tmp_path / "out", batch_size=2, seed=0)
    drawn = [
        to_float(found[place].image) - to_float(given[place].image) - 0.6 * member + 0.3
        for member, found in enumerate(open_translated(tmp_path / "out", given))
        for place in range(4)
    ]
    assert all((one - other).abs().max() > 0.1 for place, one in enumerate(drawn) for other in drawn[:place])


def test_what_a_folder_draws_follows_from_the_seed_alone(tmp_path, session):
    (tmp_path / "in").mkdir()
    for name in "ab":
        Image.new("RGB", (9, 7), (90, 120, 150)).save(tmp_path / "in" / f"{name}.png")

    def translated(name, seed, before):
        torch.manual_seed(before)
        out = tmp_path / name
        translate_folder(session(), Tinted(noise=0.1), tmp_path / "in", out, overwrite=False, seed=seed)
        return [torch.from_numpy(read_image(out / f"{name}.png")) for name in "ab"]

    one = translated("one", seed=3, before=1)
    assert same(one, translated("two", seed=3, before=2)) and not torch.equal(*one)
    assert not same(one, translated("three", seed=4, before=1))


# --- one task model a member ---


def test_the_mean_of_probabilities_is_taken_and_not_that_of_logits():
    models = [nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)]
    image = torch.randn(2, 3, 5, 6)
    with torch.no_grad():
        exponentials = [model(image).exp() for model in models]
        expected = sum(one / one.sum(1, keepdim=True) for one in exponentials) / 3
        assert torch.allclose(MeanProbability(models)(image).softmax(1), expected, atol=1e-6)


def probabilities_of(path, task, image):
    model = task.model()
    model.load_state_dict(torch.load(path, weights_only=True)["model"])
    with torch.no_grad():
        return model(to_float(image)[None]).softmax(1)


def test_a_run_trains_a_model_on_each_members_images_and_scores_their_mean(plugins, tables, tmp_path, session):
    results, _ = run(plugins, tables, tmp_path / "run", session)
    recipe, path = parse(tables, "r"), tmp_path / "run"
    task = make_task(plugins, recipe, 3)

    source = tiny.blocks(split="train")
    sets = [checked(recipe, one) for one in open_translated(path / "translated", source)]
    saved = [path / "checkpoints" / name for name in ("tiny.pt", "tiny.1.pt")]
    for dataset, file in zip(sets, saved, strict=True):
        crops = stream(recipe, dataset, "task")
        alone = fit(session(), task, crops, recipe, "x", tmp_path / "x.pt", recipe.downstream.augment)
        assert same(alone.state_dict(), torch.load(file, weights_only=True)["model"])
        (tmp_path / "x.pt").unlink()

    test = tiny.blocks(split="test", look="dark")
    confusions, alone = [], []
    for index in range(len(test)):
        mean = sum(probabilities_of(file, task, test[index].image) for file in saved) / 2
        confusions.append(task.statistics(mean, test[index].label[None].long()))
        first = probabilities_of(saved[0], task, test[index].image)
        alone.append(task.statistics(first, test[index].label[None].long()))
    assert [row.method for row in results.rows] == ["source_only", "tiny", "oracle"]
    assert results.rows[1].scores == task.scores(sum(confusions)) != task.scores(sum(alone))
    kept = torch.load(path / "scores" / "tiny.pt", weights_only=True)["statistics"]
    assert torch.equal(kept, torch.stack(confusions))


def test_content_preservation_is_that_of_every_members_images(plugins, tables, tmp_path, session):
    results, _ = run(plugins, tables, tmp_path / "run", session)
    task = make_task(plugins, parse(tables, "r"), 3)
    oracle = tmp_path / "run" / "checkpoints" / "oracle.pt"
    expected = [
        task.statistics(probabilities_of(oracle, task, one.image), one.label[None].long())
        for dataset in open_translated(tmp_path / "run" / "translated", tiny.blocks(split="train"))
        for one in (dataset[index] for index in range(6))
    ]
    kept = torch.load(tmp_path / "run" / "scores" / "semantic_preservation.pt", weights_only=True)["statistics"]
    assert torch.equal(kept, torch.stack(expected)) and len(kept) == 12
    assert results.rows[1].content_preservation == task.scores(sum(expected))


@pytest.mark.parametrize("stop_after, stage", [(19, "translating"), (25, "training on tiny"), (29, "training on tiny")])
def test_a_run_of_an_ensemble_goes_on_to_the_same_results(plugins, tables, tmp_path, session, stop_after, stage):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(plugins, tables, whole, session)
    with pytest.raises(StoppedError, match=stage if "training" in stage else "translated images"):
        run(plugins, tables, parts, session, stop_after=stop_after)
    begun = [(parts / "checkpoints" / name).exists() for name in ("tiny.pt", "tiny.1.pt")]
    assert begun == {19: [False, False], 25: [True, False], 29: [True, True]}[stop_after]
    run(plugins, tables, parts, session)
    assert comparable(parts) == comparable(whole)
    for name in ("tiny", "tiny.1"):
        states = [torch.load(path / "checkpoints" / f"{name}.pt", weights_only=True) for path in (whole, parts)]
        assert same(states[0]["model"], states[1]["model"])
