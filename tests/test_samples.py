import pytest
import tiny
import torch
from torch import nn

from daframework.adapt.samples import colored, sample_grid, tiled
from daframework.build import Networks

CPU = torch.device("cpu")


def test_labels_get_their_classes_colours_and_ignored_pixels_are_black():
    label = torch.tensor([[[0, 2], [255, 1]]])
    assert colored(label, tiny.PALETTE)[0].permute(1, 2, 0).tolist() == [
        [[128, 64, 128], [0, 200, 0]],
        [[0, 0, 0], [70, 130, 180]],
    ]


def test_pictures_stand_in_columns_with_a_white_gap():
    columns = [torch.full((2, 3, 4, 5), value, dtype=torch.uint8) for value in (10, 20, 30)]
    grid = tiled(columns)
    assert grid.shape == (3, 2 * 4 + 2, 3 * 5 + 2 * 2)
    assert grid[0, 0].tolist() == [10] * 5 + [255] * 2 + [20] * 5 + [255] * 2 + [30] * 5
    assert (grid[:, 4:6] == 255).all() and grid[0, 9, 0] == 10


class Shift(tiny.Painter):
    def __init__(self, by):
        super().__init__()
        self.by, self.multiple = by, 8

    def forward(self, image):
        assert not self.training and image.shape[2] % 8 == image.shape[3] % 8 == 0
        return (image + self.by).clamp(-1, 1)


def test_one_direction_leaves_out_what_is_translated_back():
    generators = {"source_to_target": Shift(0.5)}
    sample = tiny.blocks(split="train", size=(30, 44))[0]
    for semantic in (False, True):
        judges = {"target": tiny.Judge(num_classes=3, semantic=semantic)}
        grid = sample_grid(
            generators["source_to_target"], Networks(generators, judges, []), [sample], tiny.PALETTE, CPU
        )
        assert grid.shape == (3, 30, (3 + semantic) * 46 - 2)
        lighter = (sample.image / 127.5 - 1 + 0.5).clamp(max=1)
        assert (grid[:, :, 46:90] - (lighter + 1) * 127.5).abs().max() <= 0.51
        assert torch.equal(grid[:, :, 92:136], colored(sample.label[None], tiny.PALETTE)[0])


@pytest.mark.parametrize("semantic", [False, True])
def test_a_row_shows_what_becomes_of_one_image(semantic):
    generators = {"source_to_target": Shift(0.5), "target_to_source": Shift(-0.25)}
    judges = {"target": tiny.Judge(num_classes=3, semantic=semantic)}
    dataset = tiny.blocks(split="train", size=(30, 44))
    samples = [dataset[0], dataset[3]]
    grid = sample_grid(generators["source_to_target"], Networks(generators, judges, []), samples, tiny.PALETTE, CPU)
    assert grid.shape == (3, 2 * 30 + 2, (4 + semantic) * 46 - 2)
    for row, sample in enumerate(samples):
        cells = [grid[:, row * 32 : row * 32 + 30, column * 46 : column * 46 + 44] for column in range(4 + semantic)]
        assert torch.equal(cells[0], sample.image)
        lighter = (sample.image / 127.5 - 1 + 0.5).clamp(max=1)
        assert (cells[1] - (lighter + 1) * 127.5).abs().max() <= 0.51
        assert (cells[2] - (lighter + 0.75) * 127.5).abs().max() <= 0.51
        assert torch.equal(cells[3], colored(sample.label[None], tiny.PALETTE)[0])
        if semantic:
            shown = {tuple(color) for color in cells[4].flatten(1).T.tolist()}
            assert shown <= set(tiny.PALETTE)


def test_drawing_leaves_every_network_in_its_mode():
    generators = {"source_to_target": tiny.Painter(), "target_to_source": tiny.Painter().eval()}
    judges = {"target": tiny.Judge(num_classes=3)}
    average = nn.Sequential(tiny.Painter()).eval()
    networks = Networks(generators, judges, [])
    sample_grid(average, networks, [tiny.blocks(split="train")[0]], tiny.PALETTE, CPU)
    assert not average.training and judges["target"].training
    assert generators["source_to_target"].training and not generators["target_to_source"].training
