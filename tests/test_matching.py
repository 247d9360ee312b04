"""Pairs of crops have similar layouts, each is drawn as often as the others, and no target label is read."""

from random import Random

import pytest
import torch
from test_checked import Listed
from test_run import comparable, run

from daframework.data.matching import MatchedCrops, Pairing, layouts, nearest_layouts
from daframework.data.stream import cut
from daframework.errors import RunError, StoppedError
from daframework.interfaces import Sample
from daframework.recipes.read import parse
from daframework.storage.checkpoint import save
from daframework.storage.run_folder import open_folder


def seen(label, num_classes=3):
    """Logits of a network that is sure of a label (H, W)."""
    return 20 * torch.nn.functional.one_hot(label, num_classes).permute(2, 0, 1)[None].float()


def test_a_layout_is_the_share_of_each_class_in_each_cell():
    label = torch.zeros(8, 8, dtype=torch.int64)
    label[:4] = 1  # above class 1, below class 0, but for the last cell, half of which is class 2
    label[6:, 6] = 2
    expected = torch.zeros(3, 4, 4)
    expected[1, :2], expected[0, 2:] = 1, 1
    expected[0, 3, 3] = expected[2, 3, 3] = 0.5
    assert torch.allclose(layouts(seen(label))[0], expected.flatten() / expected.norm(), atol=1e-6)


def test_a_layout_does_not_depend_on_the_size_of_the_crop():
    label = torch.randint(3, (4, 4), generator=torch.Generator().manual_seed(0))
    large = label.repeat_interleave(5, 0).repeat_interleave(7, 1)
    assert torch.allclose(layouts(seen(label)), layouts(seen(large)), atol=1e-5)


def test_the_nearest_layouts_are_those_of_a_loop_over_all():
    random = torch.Generator().manual_seed(1)
    target = torch.nn.functional.normalize(torch.rand(1500, 12, generator=random), dim=1)
    source = torch.nn.functional.normalize(torch.rand(40, 12, generator=random), dim=1)
    found = nearest_layouts(target, source, 3)
    for place in (0, 777, 1499):
        distances = [float((target[place] - one).norm()) for one in source]
        assert found[place].tolist() == sorted(range(40), key=distances.__getitem__)[:3]
    assert nearest_layouts(target[:2], source[:2], 3).shape == (2, 2)


def numbered(count, start, size=(12, 16)):
    """Images that say their number, and labels too."""
    return Listed(
        [
            Sample(torch.full((3, *size), start + n, dtype=torch.uint8), torch.full(size, n, dtype=torch.uint8), str(n))
            for n in range(count)
        ]
    )


@pytest.fixture
def matched():
    pairing = Pairing(4, seed=3)
    places = torch.tensor([[n, n, 2 * n] for n in range(4)])
    nearest = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0]])
    own = torch.arange(4)[:, None]
    return MatchedCrops(pairing, places, nearest), MatchedCrops(pairing, places, own)


def test_both_domains_draw_the_same_pair_and_mirror_it_together(matched):
    ramp = torch.arange(16, dtype=torch.uint8).expand(3, 12, 16)
    domains = [Listed([Sample(ramp, ramp[0], str(n)) for n in range(4)]) for _ in range(2)]
    mirrored = 0
    for position in range(60):
        (first, label), (second, _) = (
            cut(one.place(domain, (6, 8), True, position, Random(position)), (6, 8))
            for one, domain in zip(matched, domains, strict=True)
        )
        assert torch.equal(first[0], label)
        falls = [bool(crop[0, 0, 0] > crop[0, 0, 1]) for crop in (first, second)]
        assert falls[0] == falls[1]
        mirrored += falls[0]
    assert 15 < mirrored < 45


def test_every_pair_comes_once_before_any_comes_again(matched):
    _, target = matched
    domain = numbered(4, 0)
    for epoch in range(3):
        drawn = [
            int(cut(target.place(domain, (6, 8), False, position, Random(0)), (6, 8))[0][0, 0, 0])
            for position in range(4 * epoch, 4 * epoch + 4)
        ]
        assert sorted(drawn) == [0, 1, 2, 3]


def test_a_source_crop_is_one_of_those_nearest_to_the_target_crop(matched):
    domain = numbered(4, 0)
    drawn = set()
    for position in range(200):
        (first, _), (second, _) = (
            cut(one.place(domain, (6, 8), True, position, Random(position)), (6, 8)) for one in matched
        )
        drawn.add((int(second[0, 0, 0]), int(first[0, 0, 0])))
    assert drawn == {(n, choice) for n in range(4) for choice in (n, (n + 1) % 4)}


# --- in a run ---


@pytest.fixture
def pairs(tables):
    tables["data"]["matched_crops"] = 2
    return tables


def test_a_translation_on_matched_crops_is_another_and_the_references_are_not(plugins, pairs, session, tmp_path):
    results, recorder = run(plugins, pairs, tmp_path / "pairs", session)
    stages = [stage for stage, *_ in recorder.stages]
    assert stages.index("looking at crops of the source") < stages.index("looking at crops of the target")
    assert stages.index("looking at crops of the target") < stages.index("translation")
    pairs["data"]["matched_crops"] = 0
    others, _ = run(plugins, pairs, tmp_path / "plain", session)
    same = {row.method: row.scores == other.scores for row, other in zip(results.rows, others.rows, strict=True)}
    assert same == {"source_only": True, "tiny": False, "oracle": True}


@pytest.mark.parametrize("stop_after", [7, 15, 21, 24])
def test_a_run_on_matched_crops_goes_on_exactly(plugins, pairs, session, tmp_path, stop_after):
    run(plugins, pairs, tmp_path / "whole", session)
    with pytest.raises(StoppedError):
        run(plugins, pairs, tmp_path / "stopped", session, stop_after=stop_after)
    run(plugins, pairs, tmp_path / "stopped", session)
    assert comparable(tmp_path / "stopped") == comparable(tmp_path / "whole")


def test_pairs_of_another_set_are_not_used(plugins, pairs, session, tmp_path):
    folder = open_folder(tmp_path / "run", parse(pairs, "r"))
    none = torch.zeros(3, 3, dtype=torch.int64)
    save(folder.matched_crops, {"source": none, "target": none, "nearest": none})
    with pytest.raises(RunError, match=r"matched_crops\.pt: pairs of another set of images; delete it"):
        run(plugins, pairs, folder.path, session)
