"""Task models trained on images between the originals and their translations."""

import pytest
import torch
from test_run import run
from test_stream import Numbered

from daframework.data.stream import Blend, TrainingStream
from daframework.interfaces import Sample
from daframework.recipes.read import parse


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


@pytest.mark.parametrize("blend", [[0.5, 0.2], [-0.1, 1.0], [0.0, 1.1], [1.0]])
def test_shares_out_of_range_are_refused(source_only, blend):
    source_only["downstream"]["blend"] = blend
    with pytest.raises(Exception, match=r"downstream.blend: must be \[low, high\] with 0 <= low <= high <= 1, got"):
        parse(source_only, "r")
