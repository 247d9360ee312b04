import re

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from test_checked import Listed, sample

from daframework.adapt.translate import translate_folder, translate_set
from daframework.adapt.translated_set import open_translated
from daframework.data.decode import read_image
from daframework.data.stream import to_bytes, to_float
from daframework.data.whole import apply_padded
from daframework.errors import DataError, RunError, StoppedError
from daframework.interfaces import Sample
from daframework.runs.log import LogFile


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
    log = LogFile(tmp_path / "file" / "log.jsonl")
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


@pytest.fixture
def images(tmp_path):
    """Forty images of three sizes that follow no order."""
    for place in range(40):
        size = ((9, 7), (8, 8), (30, 20))[place * place % 7 % 3]
        path = tmp_path / "in" / f"{place % 4}" / f"{place:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise(size, 60).convert("RGB").save(path)
    return tmp_path / "in"


def files(folder):
    return {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("stop_after", [1, 2])
def test_the_folder_stopped_at_holds_whole_images_only(tmp_path, session, images, stop_after):
    with pytest.raises(StoppedError) as stopped:
        translate_folder(session(stop_after), tiny.Painter(), images, tmp_path / "out", overwrite=False, seed=0)
    found = files(tmp_path / "out")
    assert str(stopped.value) == f"stopped after {len(found)} of 40 images" and 0 < len(found) < 40
    for name, file in found.items():
        assert read_image(file).shape == read_image(images / name).shape


def test_an_image_comes_out_the_same_whatever_is_translated_beside_it(tmp_path, session, images):
    generator = tiny.Painter(multiple=4)
    assert translate_folder(session(), generator, images, tmp_path / "out", overwrite=False, seed=0) == 40
    assert files(tmp_path / "out").keys() == files(images).keys()
    for name, file in files(images).items():
        image = to_float(torch.from_numpy(read_image(file)))[None]
        with torch.no_grad():
            alone = to_bytes(apply_padded(generator, image, 4))[0]
        assert (torch.from_numpy(read_image(tmp_path / "out" / name)).int() - alone.int()).abs().max() <= 1


def test_tiles_change_nothing_in_a_pointwise_translation(tmp_path, session, images):
    translate_folder(session(), Same(), images, tmp_path / "out", overwrite=False, seed=0, tile=(8, 12))
    assert all(
        np.array_equal(read_image(tmp_path / "out" / name), read_image(file)) for name, file in files(images).items()
    )


def test_no_batch_holds_more_pixels_than_a_tile(tmp_path, session, images):
    seen = []

    class Watched(Same):
        def forward(self, image):
            seen.append(image.shape[0] * image.shape[2] * image.shape[3])
            return image

    translate_folder(session(), Watched(), images, tmp_path / "out", overwrite=False, seed=0, tile=(16, 16))
    assert max(seen) <= 256 and len(seen) > 20


def test_a_damaged_file_leaves_all_that_were_translated_before_it(tmp_path, session, images):
    last = max(files(images).values())
    last.write_bytes(last.read_bytes()[:-40])
    with pytest.raises(DataError, match=rf"{last.name}: truncated"):
        translate_folder(session(), tiny.Painter(), images, tmp_path / "out", overwrite=False, seed=0)
    first = files(tmp_path / "out")
    with pytest.raises(DataError):
        translate_folder(session(), tiny.Painter(), images, tmp_path / "again", overwrite=False, seed=0)
    assert files(tmp_path / "again").keys() == first.keys() and first


def test_a_file_that_cannot_be_written_is_named(tmp_path, session, images):
    class Late(Same):
        def forward(self, image):
            (tmp_path / "out" / "3" / "39.png" / "x").mkdir(parents=True, exist_ok=True)  # after all was planned
            return super().forward(image)

    with pytest.raises(DataError, match=r"39\.png: cannot be written"):
        translate_folder(session(), Late(), images, tmp_path / "out", overwrite=True, seed=0)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), None])
def test_an_image_that_memory_does_not_hold_is_named_with_its_size(tmp_path, session, images, error):
    class Greedy(Same):
        def forward(self, image):
            if image.shape[2] > 10:
                if error is not None:
                    raise error
                torch.empty(2**60)
            return image

    with pytest.raises(RuntimeError, match="memory") as raised:
        translate_folder(session(), Greedy(), images, tmp_path / "out", overwrite=False, seed=0)
    assert re.search(r"in/\d/\d+\.png: 30 x 20 pixels, and \d+ more", raised.value.__notes__[0])


class Same(tiny.Painter):
    def forward(self, image):
        return image


def test_a_translated_image_is_rounded_not_cut(tmp_path, session):
    every = torch.arange(256, dtype=torch.uint8).repeat(3, 4, 1)
    given = Listed([Sample(every, torch.zeros(4, 256, dtype=torch.uint8), "x")])
    translate_set(session(), Same(), given, tmp_path / "out", batch_size=1, seed=0)
    assert np.array_equal(read_image(next((tmp_path / "out" / "images").iterdir())), every)
