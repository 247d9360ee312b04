"""The suites on GTA5, SYNTHIA and Cityscapes, run on a few made-up files in the layouts of the real ones."""

from pathlib import Path

import numpy as np
import pytest
import test_cityscapes
import test_gta5
import test_synthia
from tiny_suite import finish

from daframework.recipes.read import locate
from daframework.registry import load_plugins
from daframework.suites.bench import statuses
from daframework.suites.comparison import task_table
from daframework.suites.plan import make_plan
from daframework.suites.suite import read_suite

SHAPE = (40, 72)
TINY = (
    "data.resize=[32, 64]",
    "data.crop_size=[32, 32]",
    "translation.steps=2",
    "downstream.steps=2",
    "downstream.batch_size=2",
    "hardware.workers=0",
    "hardware.accelerator=cpu",
    "bootstrap=0",
    "options.resnet.channels=4",
    "options.resnet.blocks=1",
    "options.patch_nce.layers=[0, 2, 4]",
    "tasks.0.arch=unet",
    "tasks.0.encoder=resnet18",
    "tasks.0.encoder_weights=none",
    "tasks.0.arch_options={ encoder_depth = 3, decoder_channels = [16, 16, 16] }",
)


def ids(known, seed):
    """A label (H, W) of ids in blocks, so that most survive the resizing."""
    blocks = np.random.default_rng(seed).choice(known, (SHAPE[0] // 8, SHAPE[1] // 8))
    return blocks.repeat(8, 0).repeat(8, 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for index in range(4):
        image = test_gta5.picture(index, (*SHAPE, 3))
        test_gta5.write(root / "gta5" / "images" / f"{index + 1:05d}.png", image)
        test_gta5.write_palette(root / "gta5" / "labels" / f"{index + 1:05d}.png", ids(range(34), index))
        name = f"{index:07d}.png"
        test_synthia.write_image(root / "synthia" / "RGB" / name, image)
        test_synthia.write(
            root / "synthia" / "GT" / "LABELS" / name, test_synthia.png(test_synthia.wide(ids(range(23), index)))
        )
        for folder, city in (("train", "aachen"), ("val", "munster")):
            frame = f"{city}/{city}_{index:06d}_000019"
            picture = test_cityscapes.picture(index + 10, (*SHAPE, 3))
            test_cityscapes.write(root / "cityscapes" / "leftImg8bit" / folder / f"{frame}_leftImg8bit.png", picture)
            label = ids(range(34), index + 10)
            test_cityscapes.write(root / "cityscapes" / "gtFine" / folder / f"{frame}_gtFine_labelIds.png", label)
    return root


@pytest.mark.parametrize(
    "suite, method, classes",
    [
        ("gta5_to_cityscapes", "semantic_cyclegan", 19),
        ("synthia_to_cityscapes", "fastcut", 16),
        ("synthia_to_cityscapes_13", "color_transfer", 13),
    ],
)
def test_suites_of_the_field_run_on_files_as_distributed(suite, method, classes, data, tmp_path, monkeypatch, session):
    monkeypatch.setenv("DAF_DATA", str(data))
    plugins = load_plugins()
    path = locate(plugins, suite, "daf_suites")
    plan = make_plan(plugins, read_suite(path, TINY), path, Path(tmp_path), seeds=[0], only=[method])
    chosen = [cell for cell in plan.cells if cell.method in ("source_only", method)]
    for cell in chosen:
        finish(plugins, plan, cell, session)
    table = task_table(plan, plan.tasks[0], statuses(plan), {}, None)
    assert len(table.classes) == classes
    assert {row["method"] for row in table.rows} == {"source_only", "oracle", method}
    assert all(row["mIoU"]["mean"] is not None and not row["notes"] for row in table.rows)
