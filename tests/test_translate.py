import pytest
import tiny
import torch
from PIL import Image
from test_prepared import Listed, sample

from daframework.adapt.translate import open_translated, translate_folder, translate_set
from daframework.data.decode import image_size, read_image
from daframework.errors import DataError, RunError
from daframework.interfaces import Sample
from daframework.run.log import RunLog
from daframework.session import StoppedError


def test_a_set_is_read_back_in_order_with_its_names_and_labels(tmp_path, session):
    names = ["b/ü 1.png", "a", "b?ü 1.png", "../../up", "x" * 300, ""]
    given = [sample(8 + place, 12, label=place % 3, name=name) for place, name in enumerate(names)]
    given[2].label[0, 0] = 255
    translate_set(session(), tiny.Painter(multiple=8), Listed(given), tmp_path / "out", batch_size=4, seed=0)
    (found,) = open_translated(tmp_path / "out", Listed(given))
    assert len(found) == 6 and found.classes == tiny.CLASSES and found.palette == tiny.PALETTE
    for place, expected in enumerate(given):
        assert found[place].name == expected.name and torch.equal(found[place].label, expected.label)
        assert found[place].image.shape == expected.image.shape
    assert {file.parent.parent.name for file in tmp_path.rglob("*.png")} == {"out"}


def test_a_set_appears_whole_or_not_at_all(tmp_path, session):
    given = Listed([sample(name=str(place)) for place in range(5)])
    with pytest.raises(StoppedError, match="stopped after 4 of 5 translated images"):
        translate_set(session(stop_after=2), tiny.Painter(), given, tmp_path / "out", batch_size=2, seed=0)
    assert list(tmp_path.iterdir()) == []

    class Torn(Listed):
        def __getitem__(self, index):
            if index == 3:
                raise DataError("3.png: truncated")
            return super().__getitem__(index)

    with pytest.raises(DataError, match=r"3\.png: truncated"):
        translate_set(session(), tiny.Painter(), Torn(given.samples), tmp_path / "out", batch_size=2, seed=0)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_written_is_named(tmp_path, session, plugins):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/\.out\.partial cannot be made: Not a directory"):
        translate_set(session(), tiny.Painter(), Listed([sample()]), tmp_path / "file" / "out", batch_size=2, seed=0)
    log = RunLog(tmp_path / "file" / "log.jsonl", plugins, session().log)
    log.begin("a stage", 2, 0)
    with pytest.raises(RunError, match=r"log\.jsonl cannot be written: Not a directory"):
        log.values(1, {"loss": 0.5})


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"name": []}', '{"names": []}', '{"names": [], "versions": "2"}'])
def test_a_folder_that_is_no_translated_set_is_named(tmp_path, content):
    with pytest.raises(DataError, match=r"not a translated set \(.*\); delete the folder to translate again"):
        open_translated(tmp_path, Listed([]))
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(DataError, match="not a translated set"):
        open_translated(tmp_path, Listed([]))


def test_the_folder_stopped_at_holds_whole_images_only(tmp_path, session):
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.effect_noise((9, 7), 60).convert("RGB").save(tmp_path / "in" / f"{name}.png")
    with pytest.raises(StoppedError, match="stopped after 2 of 3 images"):
        translate_folder(
            session(stop_after=2), tiny.Painter(), tmp_path / "in", tmp_path / "out", overwrite=False, seed=0
        )
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
    assert all(image_size(file) == (7, 9) for file in (tmp_path / "out").iterdir())


def test_a_translated_image_is_rounded_not_cut(tmp_path, session):
    class Same(tiny.Painter):
        def forward(self, image):
            return image

    every = torch.arange(256, dtype=torch.uint8).repeat(3, 4, 1)
    given = Listed([Sample(every, torch.zeros(4, 256, dtype=torch.uint8), "x")])
    translate_set(session(), Same(), given, tmp_path / "out", batch_size=1, seed=0)
    assert torch.equal(read_image(next((tmp_path / "out" / "images").iterdir())), every)
