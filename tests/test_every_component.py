"""Every component that is registered, the built-in ones and those of a test plugin, keeps what its kind promises."""

import inspect
from typing import Literal, get_origin

import pytest
import test_depth_datasets
import test_driving
import tiny
from test_layouts import LAYOUTS

from daframework.build import SUPPLIED, make
from daframework.errors import RecipeError
from daframework.registry import KINDS, components, find, load_plugins
from daframework.testing import check_component

PLUGINS = load_plugins(extra={"tiny": tiny})
BOTH_SIDES = {"train_on_reconstruction": True, "train_generator_on_reconstruction": True}
OPTIONS = {
    "generator:resnet": [
        {"channels": 4, "blocks": 1},
        {"channels": 4, "blocks": 1, "upsample": "resize", "head": "affine"},
        {"channels": 4, "blocks": 1, "upsample": "antialiased", "downsample": "antialiased"},
    ],
    "generator:unet": [
        {"channels": 4, "depth": 2},
        {"channels": 4, "depth": 3, "upsample": "resize", "head": "affine"},
    ],
    "generator:color_transfer": [{}, {"reference": "image"}],
    "generator:class_color_transfer": [{"grid": 8}],
    "generator:histogram_matching": [{}, {"reference": "image"}],
    "generator:fda": [{"band": 0.5}, {"band": [0.3, 0.1]}],
    "discriminator:patchgan": [
        {"channels": 4},
        {"channels": 4, "layers": 2, "norm": "none", "downsample": "antialiased"},
    ],
    "discriminator:semantic": [
        {"channels": 4, "decoder_channels": 4},
        {"channels": 4, "semantic_head": False},
        {"channels": 4, "decoder_channels": 4, "classwise": True},
        {"channels": 4, "decoder_channels": 4, "encoder": "resnet18"},
        {"channels": 4, "decoder_channels": 4, "encoder": "mambaout_femto"},
    ],
    "discriminator:judge": [{}, {"semantic": True}],
    "loss:semantic_discriminator": [
        {},
        {"class_weights": "inverse_log", "target_consistency": "pseudo", "confidence": 0.0, **BOTH_SIDES},
    ],
    "loss:weighted_reconstruction": [{}, {"class_weights": "none"}, {"target_weights": "predicted"}],
    "loss:semantic_consistency": [{}, {"source_label": "predicted", "target_weight": 0}],
    "loss:patch_nce": [
        {"layers": [0, 2], "width": 8, "patches": 16},
        {"layers": [0, 2], "width": 8, "patches": 10_000, "identity": False, "flip_equivariance": True},
    ],
    "task:depth": [
        {"encoder": "tu-test_resnet"},
        {"encoder": "tu-test_resnet", "head": "softplus", "loss": "l1", "median_scaling": True},
    ],
    "task:segmentation": [{"encoder": "tu-test_resnet", "dice_weight": 0.5}],
    "dataset:streets": [{"look": "game", "train_images": 3}, {"look": "camera", "train_images": 3, "size": [33, 47]}],
}
FOLDERS = [
    *((one.name, one.build, one.options) for one in LAYOUTS.values()),
    ("virtual_kitti2", test_depth_datasets.build_virtual, test_depth_datasets.VIRTUAL),
    ("kitti_depth", test_depth_datasets.build_kitti, {}),
    ("image_folder", test_driving.build_folder, test_driving.FOLDERS),
]


def every(kind):
    return [
        pytest.param(component, options, id=f"{kind}:{name} {options}")
        for name, component in sorted(components(PLUGINS, kind).items())
        for options in OPTIONS.get(f"{kind}:{name}", [{}])
        if name not in [folder for folder, *_ in FOLDERS]
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_is_given_by_name_and_explained(kind):
    for component in components(PLUGINS, kind).values():
        if component.origin.distribution != "daframework":
            continue
        factory = component.factory
        parameters = inspect.signature(factory, eval_str=True).parameters.values()
        assert all(one.kind is one.KEYWORD_ONLY for one in parameters), component
        said = f"{inspect.getdoc(factory)} {inspect.getdoc(factory.__init__)}"
        missing = [one.name for one in parameters if one.name not in SUPPLIED and f"{one.name}: " not in said]
        assert not missing, component
        for option in parameters:
            if get_origin(option.annotation) is Literal:
                with pytest.raises(RecipeError, match=rf"\.{option.name}: must be one of '.*, got 'x'"):
                    make(component, {option.name: "x"}, kind)


@pytest.mark.parametrize("component, options", [case for kind in KINDS for case in every(kind)])
def test_a_component_keeps_its_contract(component, options):
    resnet = find(PLUGINS, "generator", "resnet").factory
    check_component(component, options, generator=lambda: resnet(channels=4, blocks=1))


@pytest.mark.parametrize("name, build, options", FOLDERS)
def test_a_dataset_of_files_keeps_its_contract(name, build, options, tmp_path):
    build(tmp_path)
    check_component(find(PLUGINS, "dataset", name), {"root": str(tmp_path), **options})
