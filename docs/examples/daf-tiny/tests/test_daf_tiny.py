from types import SimpleNamespace

import pytest
import torch
from daf_tiny.generator import ColourMatrix
from daf_tiny.loss import MeanColour

from daframework.registry import find, load_plugins
from daframework.testing import check_generator, check_loss, check_network

IMAGES = {"source": 0.5, "fake_source": 0.0, "target": -0.1, "fake_target": 0.1}


def test_generator_keeps_the_contract():
    check_generator(ColourMatrix(), height=5, width=7, batch_size=2)
    check_network(ColourMatrix(), ColourMatrix(), height=5, width=7)


def test_loss_keeps_the_contract():
    check_loss(MeanColour(), num_classes=3, height=5, width=7)


def test_generator_starts_near_the_identity():
    image = torch.rand(2, 3, 8, 8) * 2 - 1
    assert torch.allclose(ColourMatrix(margin=0.01)(image), image, atol=0.011)


def test_margin_out_of_range_is_refused():
    with pytest.raises(ValueError, match="margin must be between 0 and 1, got 0"):
        ColourMatrix(margin=0)


def test_loss_is_the_distance_of_mean_colours_both_ways():
    flat = {name: torch.full((1, 3, 4, 4), value) for name, value in IMAGES.items()}
    assert MeanColour().generator_loss(SimpleNamespace(**flat)).item() == pytest.approx(0.2 + 0.5)


def test_plugin_is_installed_under_its_names():
    plugins = load_plugins()
    assert find(plugins, "generator", "tiny").factory is ColourMatrix
    assert find(plugins, "loss", "mean_colour").factory is MeanColour
