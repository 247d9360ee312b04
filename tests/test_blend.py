"""Task models trained on images between the originals and their translations."""

import pytest
import tiny
import torch
from test_run import run
from test_stream import Numbered

from daframework.adapt.translated_set import open_translated
from daframework.build import make
from daframework.data.stream import Blend, TrainingStream, to_bytes, to_float
from daframework.downstream import fit
from daframework.errors import RecipeError
from daframework.interfaces import Sample
from daframework.networks import make_also
from daframework.recipes.read import parse
from daframework.recipes.tables import OriginalsTable
from daframework.registry import find


class Translated(Numbered):
    """`Numbered`, every value 100 higher."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return Sample(sample.image + 100, sample.label, sample.name)


def stream(low, high):
    return TrainingStream(Translated(), (9, 11), False, 0, "task", None, Blend(Numbered(), low, high))


@pytest.mark.parametrize(("share", "added"), [(1.0, 100), (0.0, 0), (0.25, 25)])
def test_every_pixel_is_that_share_of_the_translation_and_keeps_its_label(share, added):
    image, label = stream(share, share)[3]
    original, its_label = TrainingStream(Numbered(), (9, 11), False, 0, "task")[3]
    assert torch.equal(image, original + added) and torch.equal(label, its_label)


def test_each_crop_draws_a_share_of_its_own_and_the_same_one_every_time():
    first, again = ([int(stream(0.2, 0.7)[position][0][1, 0, 0]) for position in range(70)] for _ in range(2))
    assert first == again
    assert min(first) >= 20 and max(first) <= 70 and len(set(first)) > 30


def test_it_is_for_translated_rows_alone(plugins, tables, tmp_path, session):
    """A row without a translation has nothing to blend; that of one changes."""
    weights = {}
    for blend in ([1.0, 1.0], [0.0, 1.0]):
        tables["downstream"] |= {"oracle": False, "blend": blend}
        folder = tmp_path / str(blend[0])
        run(plugins, tables, folder, session)
        for row in ("source_only", tables["name"]):
            state = torch.load(folder / "checkpoints" / f"{row}.pt", weights_only=True)["model"]
            weights[row, blend[0]] = torch.cat([one.flatten() for one in state.values()])
    assert torch.equal(weights["source_only", 0.0], weights["source_only", 1.0])
    assert not torch.equal(weights[tables["name"], 0.0], weights[tables["name"], 1.0])


def test_a_crop_shows_one_of_the_translations_drawn_alike():
    others = [Translated(), Numbered()]  # 100 more, 100 more, and the original itself
    shown = TrainingStream(Translated(), (9, 11), False, 0, "task", None, Blend(Numbered(), 1.0, 1.0, others))
    plain = TrainingStream(Numbered(), (9, 11), False, 0, "task")
    added = [int((shown[position][0] - plain[position][0])[1, 0, 0]) for position in range(120)]
    assert set(added) == {0, 100} and 20 < added.count(0) < 60


@pytest.mark.parametrize(("share", "shown"), [(0.0, ""), (0.5, "1357"), (0.25, "37"), (1.0, "01234567")])
def test_a_share_of_the_crops_shows_originals_evenly_among_the_others(share, shown):
    mixed = TrainingStream(
        Translated(), (9, 11), False, 0, "task", None, Blend(Numbered(), 1.0, 1.0, kept=OriginalsTable(share))
    )
    plain = TrainingStream(Numbered(), (9, 11), False, 0, "task")
    assert "".join(str(place) for place in range(8) if torch.equal(mixed[place][0], plain[place][0])) == shown
    assert all(torch.equal(mixed[place][1], plain[place][1]) for place in range(8))


def test_originals_have_changes_of_their_own(plugins, tables, tmp_path, session, monkeypatch):
    """Each image of a batch is changed as what it shows asks for, an original or a translation."""
    seen = []
    monkeypatch.setattr(
        fit,
        "augmented",
        lambda image, label, tables, *_: (seen.append([one.gamma for one in tables]), (image, label))[1],
    )
    tables["downstream"] |= {"batch_size": 4, "augment": {"gamma": 0.1}, "oracle": False, "source_only": False}
    tables["translation"]["originals"] = {"share": 0.5, "augment": {"gamma": 1.0}}
    run(plugins, tables, tmp_path / "own", session)
    assert seen == [[0.1, 1.0, 0.1, 1.0]] * tables["downstream"]["steps"]
    seen.clear()
    tables["translation"]["originals"] = {"share": 0.5}
    run(plugins, tables, tmp_path / "same", session)
    assert seen == [[0.1] * 4] * tables["downstream"]["steps"]


def test_originals_of_which_nothing_is_shown_are_not_read():
    class Unread(Numbered):
        def unlabelled(self, index):
            raise AssertionError(f"original {index} was read")

    blended = TrainingStream(Translated(), (9, 11), True, 0, "task", None, Blend(Unread(), 1.0, 1.0, [Translated()]))
    for position in range(20):
        blended[position]


def test_a_row_is_trained_on_what_other_generators_make_of_the_source_too(plugins, tables, tmp_path, session):
    tables["downstream"]["oracle"] = True
    tables["translation"]["also"] = ["color_transfer", "histogram_matching"]
    results, _ = run(plugins, tables, tmp_path / "run", session)
    own, moments, matched = open_translated(tmp_path / "run" / "translated", tiny.blocks(split="train"))
    alone = make(find(plugins, "generator", "color_transfer"), {}, "generator")
    alone.prepare(tiny.blocks(split="train"), tiny.blocks(split="train", look="dark"))
    image = tiny.blocks(split="train")[3].image
    assert torch.equal(moments[3].image, to_bytes(alone(to_float(image)[None]))[0])
    assert not torch.equal(own[3].image, moments[3].image) and not torch.equal(matched[3].image, moments[3].image)
    assert [row.method for row in results.rows] == ["source_only", "tiny", "oracle"]
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("tiny*")) == ["tiny.pt"]
    tables["translation"]["also"] = []
    alone, _ = run(plugins, tables, tmp_path / "alone", session)
    kept = [found.rows[1].content_preservation for found in (results, alone)]
    assert kept[0] == kept[1] is not None, "it is the method's own images that are judged"


def test_a_generator_that_nothing_would_train_is_refused(plugins, tables):
    tables["translation"]["also"] = ["color_transfer", "resnet"]
    with pytest.raises(RecipeError, match=r"translation.also: generator 'resnet' has weights, which"):
        make_also(plugins, parse(tables, "r"), 3)
    tables["translation"]["also"] = ["colour_transfer"]
    with pytest.raises(RecipeError, match=r"translation.also.name: no generator named 'colour_transfer'; did you mean"):
        make_also(plugins, parse(tables, "r"), 3)


@pytest.mark.parametrize("blend", [[0.5, 0.2], [-0.1, 1.0], [0.0, 1.1], [1.0]])
def test_shares_out_of_range_are_refused(source_only, blend):
    source_only["downstream"]["blend"] = blend
    with pytest.raises(Exception, match=r"downstream.blend: must be \[low, high\] with 0 <= low <= high <= 1, got"):
        parse(source_only, "r")
