"""In which precision images are translated, and how little of it is seen."""

import pytest
import torch
from test_checked import Listed, sample
from torch import nn

from daf_cyclegan.resnet import ResNet
from daf_streets.streets import Streets
from daframework.adapt.translate import translate_set
from daframework.adapt.translated_set import open_translated
from daframework.interfaces import Generator


def translated(session, generator, given, folder):
    """The images of ``given`` as they come back from the files, (N, 3, H, W) float32 in 0 to 255."""
    translate_set(session, generator, given, folder, batch_size=2, seed=0)
    (found,) = open_translated(folder, given)
    return torch.stack([found[place].image for place in range(len(found))]).float()


@pytest.mark.parametrize("head", ["paint", "affine"])
def test_bf16_changes_a_translation_by_less_than_one_grey_level(tmp_path, session, head):
    torch.manual_seed(0)
    generator = ResNet(channels=32, blocks=9, head=head)
    if head == "affine":  # it starts as the identity
        for parameter in generator.head.last.parameters():
            nn.init.normal_(parameter, 0.0, 0.02)
    given = Streets(look="game", split="test", size=(64, 96), test_images=2)
    single = translated(session(), generator, given, tmp_path / "single")
    mixed = translated(session(precision="bf16-mixed"), generator, given, tmp_path / "mixed")
    source = torch.stack([given[place].image for place in range(2)]).float()
    assert (single - source).abs().mean() > 10  # it does change the images
    assert 0 < (mixed - single).abs().mean() < 1


class Turned(Generator):
    """Colours through a matrix, which bf16 would round; with or without weights."""

    def __init__(self, *, learned: bool) -> None:
        super().__init__()
        self.dtypes = []
        matrix = torch.tensor([[0.3, 0.6, 0.1], [0.2, 0.1, 0.7], [0.5, 0.4, 0.1]])
        if learned:
            self.matrix = nn.Parameter(matrix)
        else:
            self.register_buffer("matrix", matrix)

    def forward(self, image):
        pixels = image.permute(0, 2, 3, 1) @ self.matrix
        self.dtypes.append(pixels.dtype)
        return pixels.permute(0, 3, 1, 2)


@pytest.mark.parametrize("learned, expected", [(True, torch.bfloat16), (False, torch.float32)])
def test_only_what_was_learned_is_computed_in_half_precision(tmp_path, session, learned, expected):
    generator = Turned(learned=learned)
    given = Listed([sample()])
    translate_set(session(precision="bf16-mixed"), generator, given, tmp_path / "out", batch_size=1, seed=0)
    assert generator.dtypes == [expected]


def test_double_precision_is_kept(tmp_path, session):
    generator = Turned(learned=True).double()
    translate_set(session(), generator, Listed([sample()]), tmp_path / "out", batch_size=1, seed=0)
    assert generator.dtypes == [torch.float64]
