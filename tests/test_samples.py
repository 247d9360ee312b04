import pytest
import tiny
import torch
from torch import nn

from daframework.adapt.samples import head_scores, sample_grid, tiled
from daframework.interfaces import SEMANTIC, DiscriminatorOutput, Sample
from daframework.networks import Networks

CPU = torch.device("cpu")


def test_labels_get_their_classes_colours_and_ignored_pixels_are_black():
    label = torch.tensor([[[0, 2], [255, 1]]])
    assert SEMANTIC.render(label, tiny.PALETTE)[0].permute(1, 2, 0).tolist() == [
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
        assert torch.equal(grid[:, :, 92:136], SEMANTIC.render(sample.label[None], tiny.PALETTE)[0])


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
        assert torch.equal(cells[3], SEMANTIC.render(sample.label[None], tiny.PALETTE)[0])
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


class Knows(tiny.Judge):
    """Sees in every pixel the class whose colour, less ``by``, is nearest: never wrong on blocks of plain colours."""

    def __init__(self, by):
        super().__init__(num_classes=3)
        self.by, self.has_semantics = by, True

    def forward(self, image):
        colors = torch.tensor(tiny.PALETTE) / 127.5 - 1 + self.by
        far = (image[:, None] - colors[None, :, :, None, None]).square().sum(2)
        return DiscriminatorOutput(image.mean(1, keepdim=True), -far)


def plain(index):
    label = torch.zeros(16, 24, dtype=torch.uint8)
    label[:, :8], label[:, 8:16] = index % 3, 2
    label[0] = 255
    return Sample(SEMANTIC.render(label[None], tiny.PALETTE)[0], label, str(index))


def test_a_semantic_head_is_measured_on_what_it_judges():
    """The source's on source images, the target's on translations, over all of them together, ignored pixels apart."""
    networks = Networks({"source_to_target": Shift(0.0)}, {"source": Knows(0.0), "target": Knows(0.0)}, [])
    samples = [plain(index) for index in range(3)]
    assert head_scores(Shift(0.0), networks, samples, CPU) == {"source": 1.0, "fake_target": 1.0}
    blind = Networks(
        networks.generators, {"source": Knows(0.0), "target": tiny.Judge(num_classes=3, semantic=False)}, []
    )
    assert head_scores(Shift(0.0), blind, samples, CPU) == {"source": 1.0}
    far = head_scores(Shift(-2.0), networks, samples, CPU)  # all black: one class for all
    assert far["source"] == 1.0 and far["fake_target"] < 0.5
