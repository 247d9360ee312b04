"""``daf export``: a file computes what its network does, at any size, says what it takes, or is not written."""

import functools
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import tomli_w
import torch
from conftest import TABLES, install, refused
from PIL import Image
from safetensors import safe_open
from test_ensemble import Tinted
from torch import nn
from torch.nn import functional as F

import daf_export
import daframework
from daf_cyclegan.resnet import ResNet
from daf_cyclegan.unet import UNet
from daf_export import formats
from daf_export.export_command import command
from daf_export.exportable import Exportable
from daf_export.formats import FORMATS, OPSET, example_size
from daf_export.parity import BOUNDS, check_parity, photograph, sizes_of
from daf_segmentation.task import Segmentation
from daframework.errors import DataError, PluginError, RunError
from daframework.interfaces import Generator
from daframework.recipes.read import parse
from daframework.semantics import MeanProbability

PAGE = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")


def generator(network):
    for parameter in network.head.parameters():
        nn.init.normal_(parameter, 0, 0.05)  # an affine head starts at 0, which would hide what comes before
    return Exportable("generator", None, network.eval(), network.multiple, network.smallest, None, {"by": "a test"})


def resnet(**options):
    return generator(ResNet(channels=4, blocks=1, **options))


def segmenter(arch, encoder="tu-test_resnet", **options):
    stem = {"stem_type": "", "avg_down": False} if encoder == "tu-test_resnet" else None
    task = Segmentation(num_classes=3, arch=arch, encoder=encoder, arch_options=options, encoder_options=stem)
    return plain(task.model(), task.multiple, task.smallest)


def plain(network, multiple=1, smallest=1, size=None):
    return Exportable("segmenter", "mine", network.eval(), multiple, smallest, size, {"by": "a test"})


class PadsIfNeeded(nn.Module):
    """A branch by the size, of which the example takes one."""

    def forward(self, image):
        height = image.shape[-2]
        return F.pad(image, (0, 0, 0, 1))[..., :height, :] * 2 if height % 2 else image


# As small as each can be: tracing costs seconds an operator, whatever its width.
NETWORKS = {
    **{
        f"resnet {head} {upsample}": lambda head=head, upsample=upsample: resnet(head=head, upsample=upsample)
        for head in ("paint", "affine")
        for upsample in ("transposed", "resize")
    },
    "cut": lambda: resnet(downsample="antialiased", upsample="antialiased"),
    "unet generator": lambda: generator(UNet(channels=4, depth=2, upsample="resize")),
    "unet": lambda: segmenter("unet", encoder_depth=2, decoder_channels=[8, 8]),
    "fpn": lambda: segmenter("fpn", encoder_depth=4, decoder_pyramid_channels=32, decoder_segmentation_channels=64),
    "segformer": lambda: segmenter("segformer", encoder_depth=3, decoder_segmentation_channels=8),
    "deeplabv3plus": lambda: segmenter("deeplabv3plus", encoder_depth=3, decoder_channels=16),
    "deeplabv3plus dilated": lambda: segmenter("deeplabv3plus", "resnet18", decoder_channels=16),
    "pan": lambda: segmenter("pan", decoder_channels=16),
    "pads if needed": lambda: plain(PadsIfNeeded()),
    "group norm": lambda: plain(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3))),
}


QUICK = ("resnet affine resize", "cut", "unet generator", "unet", "pads if needed")
"""Whose ONNX is held in every run of the tests; the rest is marked `long`."""
TRACED = ("resnet affine resize", "pads if needed")  # and of these torch.export
CASES = [
    pytest.param(name, form, marks=[] if name in (QUICK if form == "onnx" else TRACED) else [pytest.mark.long])
    for name in NETWORKS
    for form in ("onnx", "torch-export")
    if (name, form) != ("pan", "torch-export")  # its serializer does not know what pan computes its sizes by
]


@pytest.fixture(scope="module")
def network():
    """A network by its name, built and traced once for all formats, since tracing is what takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "traced", functools.cache(formats.traced))

        @functools.cache
        def build(name):
            torch.manual_seed(0)
            return NETWORKS[name]()

        yield build


def written(one, form, folder):
    file = folder / f"file{FORMATS[form].suffix}"
    taken = FORMATS[form].write(one, file)
    return file, taken, FORMATS[form].open(file)


@pytest.mark.parametrize("name, form", CASES)
def test_a_file_computes_what_its_network_does_at_every_size(name, form, network, tmp_path):
    one = network(name)
    file, taken, opened = written(one, form, tmp_path)
    found = check_parity(taken, opened, example_size(taken))
    assert [difference.size for difference in found] == list(sizes_of(taken)) and len(found) == 4
    assert example_size(taken) not in sizes_of(taken)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]  # no second file of weights
    if form == "onnx":
        model = onnx.load(file)
        assert [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")] == [OPSET]
        shape = [side.dim_param or side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
        assert shape == ["batch", 3, "height", "width"]
        said = {entry.key: entry.value for entry in model.metadata_props}
    else:
        extra = {"metadata.json": ""}
        program = torch.export.load(file, extra_files=extra)
        said = json.loads(extra["metadata.json"])
        assert program.example_inputs is None
        image = photograph(sizes_of(taken)[1])
        by_pixel = opened(image.contiguous(memory_format=torch.channels_last))
        assert torch.equal(by_pixel, opened(image))
    assert said["by"] == "a test" and (said["multiple"], said["smallest"]) == (str(taken.multiple), str(taken.smallest))
    assert taken.multiple == (32 if name == "pads if needed" else one.multiple)  # a branch by how a side divides


class Bins(nn.Module):
    """PSPNet's fault: how pixels are shared out over 3x3 bins is taken from the example."""

    def forward(self, image):
        return F.interpolate(F.adaptive_avg_pool2d(image, 3), image.shape[-2:])


class ScaledDown(nn.Module):
    """Antialiased resizing by a factor."""

    def forward(self, image):
        small = F.interpolate(image, scale_factor=0.5, mode="bilinear", antialias=True)
        return F.interpolate(small, size=image.shape[-2:], mode="nearest")


def test_a_network_that_is_right_at_one_size_alone_is_refused_and_offered_a_fixed_size(tmp_path):
    with pytest.raises(RunError, match=r"cannot be exported for any size.*--size HEIGHTxWIDTH"):
        _, taken, opened = written(plain(Bins()), "onnx", tmp_path)
        check_parity(taken, opened, example_size(taken))
    _, taken, opened = written(plain(Bins(), size=(24, 33)), "onnx", tmp_path)
    assert [one.size for one in check_parity(taken, opened, (24, 33))] == [(24, 33)]
    assert taken.metadata()["size"] == "24 33" and "multiple" not in taken.metadata()


@pytest.mark.long
@pytest.mark.parametrize(
    "arch, options",
    [
        ("pspnet", {"psp_out_channels": 16}),
        ("upernet", {"decoder_channels": 16}),
        ("dpt", {"encoder": "tu-vit_tiny_patch16_224", "encoder_depth": 4}),
    ],
)
def test_an_architecture_that_is_right_at_one_size_alone_is_refused_too(arch, options, tmp_path):
    with pytest.raises(RunError, match=r"cannot be exported for any size.*--size HEIGHTxWIDTH"):
        _, taken, opened = written(segmenter(arch, **options), "onnx", tmp_path)
        check_parity(taken, opened, example_size(taken))


def test_a_file_that_computes_something_else_is_refused(tmp_path):
    _, taken, opened = written(plain(ScaledDown(), size=(24, 33)), "onnx", tmp_path)
    with pytest.raises(RunError, match=r"off at 24x33 pixels .*nothing was written"):
        check_parity(taken, opened, (24, 33))
    good = plain(nn.Conv2d(3, 2, 1))
    for fault in (torch.nan, 2e-3):
        with pytest.raises(RunError, match=r"off at 1x1 pixels \(allowed: 0.001 of the logits\); nothing was written"):
            check_parity(good, lambda image, fault=fault: good.network(image) + fault, (160, 162))
    image = Exportable("generator", None, nn.Identity(), 1, 1, None, {})
    check_parity(image, lambda shown: shown + 0.3 / 255, (160, 162))  # 0.15 of 255 in [0, 1]
    with pytest.raises(RunError, match=r"0\.0012 off"):
        check_parity(image, lambda shown: shown + 0.6 / 255, (160, 162))
    assert BOUNDS[image.kind].largest == 2 / 255 and BOUNDS[image.kind].mean == 0.2 / 255


# --- of a run ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    (folder / "tiny.toml").write_text(tomli_w.dumps(TABLES | {"data": TABLES["data"] | {"resize": [18, 26]}}))
    return folder


@pytest.fixture
def finished(installed, folder):
    """The tiny recipe, run once."""
    return daframework.run(daframework.recipe(folder / "tiny.toml"), folder / "run")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("model", ["generator", "oracle"])
def test_the_command_writes_a_file_and_a_card_whose_lines_run(daf, finished, monkeypatch, model, form):
    code, output, errors = daf("export", finished.folder, "--format", form, "--model", model, "--out", out(form))
    assert (code, errors) == (0, "") and f"{out(form)} (" in output
    assert len(re.findall(r"^ +\d+x\d+ +\S+ +\S+$", output, re.MULTILINE)) == 4
    image = np.stack([np.add.outer(np.arange(19) * 4, np.arange(29) * step) for step in (1, 3, 5)], -1).astype(np.uint8)
    Image.fromarray(image).save("image.png")
    page = Path(f"{out(form)}.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(lines.splitlines()) <= 10
    exec(compile(lines, "card", "exec"), {})
    got = np.asarray(Image.open("output.png"))
    if model == "generator":
        assert np.abs(got.astype(int) - finished.translate(image).astype(int)).max() <= 1
    else:
        assert got.shape == (18, 26) and "`resize` | 18 26" in page
        wanted = finished.predict(np.asarray(Image.fromarray(image).resize((26, 18), Image.BILINEAR)), "oracle").numpy()
        assert (got == wanted).mean() > 0.99 and ".resize((26, 18), Image.BILINEAR)" in lines
    for said in ("| source_only |", 'name = "tiny"', "Images: 6 of source", "road, sky, tree", "padding"):
        assert said in page


@pytest.fixture(scope="module")
def ranged(tmp_path_factory):
    """A run of a task whose predictions are no logits, (N, H, W) metres."""
    site = tmp_path_factory.mktemp("site")
    install(site, "daf-tiny", "1.2", {"tiny": "tiny", "meters": "meters"})
    sides = {"source": {"name": "lit"}, "target": {"name": "lit", "look": "dark"}, "task": {"name": "ranging"}}
    tables = {key: TABLES[key] for key in ("data", "downstream", "log", "hardware")} | sides | {"name": "far"}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield daframework.run(parse(tables, "far"), tmp_path_factory.mktemp("ranged") / "run")


@pytest.mark.parametrize("form", FORMATS)
def test_a_model_of_another_task_is_a_file_whose_card_speaks_of_it(ranged, tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    done = daf_export.export(ranged, format=form, model="task", out=out(form))
    assert done.metadata["kind"] == "task" and done.metadata["output"] == "(batch, height, width) float32"
    assert done.metadata["output_range"] == "a prediction of the label 'distance'" and "largest value" in str(
        done.bound
    )
    image = np.stack([np.add.outer(np.arange(19) * 4, np.arange(29) * step) for step in (1, 3, 5)], -1).astype(np.uint8)
    Image.fromarray(image).save("image.png")
    page = done.card.read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(lines, "card", "exec"), {})
    assert np.abs(np.load("output.npy") - ranged.predict(image).numpy()).max() < 1e-3
    reached = ranged.results.rows[0].scores.primary
    assert f"| source_only | {reached:.3f} | - |" in page and "| row | abs error |" in page
    assert "In m, on the target's test set" in page and "lower is better" in page and "Classes" not in page
    if form == "onnx":
        sides = [side.dim_param for side in onnx.load(done.path).graph.output[0].type.tensor_type.shape.dim]
        assert sides == ["batch", "height", "width"]


class OneNumber(nn.Module):
    def forward(self, image):
        return 100 * image.mean((1, 2, 3), keepdim=False)[:, None]


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
def test_a_prediction_that_is_not_by_pixel_is_exported_and_nothing_is_cut_off_it(ranged, tmp_path, form):
    ranged._models["source_only"] = OneNumber()
    try:
        done = daf_export.export(ranged, format=form, model="source_only", out=tmp_path / out(form))
    finally:
        del ranged._models["source_only"]
    assert done.metadata["output"] == "(batch, 1) float32" and "cut" not in done.metadata["padding"]
    assert ":height" not in done.card.read_text(encoding="utf-8")


def test_predictions_of_many_metres_may_differ_by_more_than_those_below_one():
    far = Exportable("task", "mine", Constant(80.0), 1, 1, None, {})
    check_parity(far, lambda image: far.network(image) + 0.05, (160, 162))
    for value, fault in ((80.0, 0.1), (0.5, 0.01)):
        one = Exportable("task", "mine", Constant(value), 1, 1, None, {})
        with pytest.raises(RunError, match=r"allowed: 0\.001 of the largest value"):
            check_parity(one, lambda image, one=one, fault=fault: one.network(image) + fault, (160, 162))


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, image):
        return torch.full_like(image[:, 0], self.value)


class Several(nn.Module):
    def forward(self, image):
        return {"near": image, "far": image}


def test_a_network_that_gives_several_things_is_refused_in_a_line(ranged, tmp_path):
    ranged._models["source_only"] = Several()
    with pytest.raises(PluginError, match=r"'ranging' gives a dict, where a file needs one tensor") as raised:
        daf_export.export(ranged, model="source_only", out=tmp_path / "a.onnx")
    del ranged._models["source_only"]
    assert "\n" not in str(raised.value) and not list(tmp_path.iterdir())


def out(form):
    return f"file{FORMATS[form].suffix}"


def test_weights_are_read_back_as_the_network(finished):
    done = daf_export.export(finished, format="safetensors", model="segmenter")
    assert done.path == finished.folder / "export" / "tiny.safetensors" and done.path.stat().st_mode & 0o044
    image = torch.rand(2, 3, 8, 12) * 2 - 1
    with torch.no_grad():
        assert torch.equal(daf_export.load(done.path)(image), finished.model()(image))
    with safe_open(done.path, "pt") as file:
        assert file.metadata() == {"format": "pt", **done.metadata}
    (page,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(page.replace("runs/semantic_cyclegan/seed0", str(finished.folder)), "page", "exec"), {})
    assert (finished.folder / "export" / "generator.safetensors").is_file()
    for bad in (b"", b"{}"):
        done.path.write_bytes(bad)
        with pytest.raises(DataError, match="not weights that daf export wrote"):
            daf_export.load(done.path)


def test_weights_by_pixel_or_of_other_precision_become_plain_float32(finished, tmp_path):
    finished._generator = finished.generator().double().to(memory_format=torch.channels_last)
    done = daf_export.export(finished, format="safetensors", out=tmp_path / "a.safetensors")
    assert {tensor.dtype for tensor in daf_export.load(done.path).state_dict().values()} == {torch.float32}
    assert next(finished.generator().parameters()).dtype == torch.float64


def test_the_mean_of_several_models_is_one_file_but_for_its_weights(tmp_path):
    mean = plain(MeanProbability([nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)]))
    _, taken, opened = written(mean, "onnx", tmp_path)
    assert check_parity(taken, opened, example_size(taken))
    with pytest.raises(PluginError, match="the mean of 2 models, and safetensors holds one network"):
        written(mean, "safetensors", tmp_path)


class Odd(Generator):
    def forward(self, image):
        return image + F.adaptive_avg_pool2d(image, 3).mean() * (image.shape[-1] % 7)


@pytest.mark.parametrize(
    "network, says",
    [
        (Tinted(members=1, noise=0.1), "'painter' draws at random"),
        (Tinted(members=3), "'painter' has 3 versions"),
        (Odd(), "cannot be exported for any size"),
    ],
)
def test_a_generator_that_no_file_can_be_is_refused_in_a_line_and_leaves_nothing(finished, tmp_path, network, says):
    finished._generator = network.eval()
    with pytest.raises(daframework.DafError, match=says) as raised:
        daf_export.export(finished, out=tmp_path / "new" / "a.onnx")
    assert "\n" not in str(raised.value) and not list(tmp_path.rglob("a.onnx*"))


def test_what_is_there_is_kept_unless_asked_for_and_while_the_new_file_is_wrong(daf, finished):
    for name in ("a.safetensors", "a.safetensors.md"):
        Path(name).write_text("mine")
        arguments = ("export", finished.folder, "--format", "safetensors", "--out", "a.safetensors")
        refused(daf(*arguments), rf"{name} is there already; add --overwrite")
        assert Path(name).read_text() == "mine" and len(list(Path().iterdir())) == 1
        assert daf(*arguments, "--overwrite")[0] == 0 and Path("a.safetensors").read_bytes() != b"mine"
        Path("a.safetensors").unlink(), Path("a.safetensors.md").unlink()
    Path("a.onnx").write_text("mine")
    finished._generator = Odd()
    with pytest.raises(RunError):
        daf_export.export(finished, out="a.onnx", overwrite=True)
    assert Path("a.onnx").read_text() == "mine" and [*Path().iterdir()] == [Path("a.onnx")]


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("--out", "a.pt"), r"a\.pt: a file of format onnx must end with \.onnx"),
        (("--out", "file/a.onnx"), r"file/a\.onnx cannot be written: "),
        (("--out", "folder.onnx"), r"folder\.onnx: is a folder"),
        (("--model", "orcale"), "no row named 'orcale'; did you mean 'oracle'"),
        (("--size", "8x8", "--format", "safetensors", "--out", "a.safetensors"), "leave --size out"),
    ],
)
def test_bad_input_is_a_line(daf, finished, arguments, says):
    Path("file").touch(), Path("folder.onnx").mkdir()
    refused(daf("export", finished.folder, *arguments), says)
    assert sorted(map(str, Path().iterdir())) == ["file", "folder.onnx"]


def test_a_run_that_is_not_there_not_finished_or_of_other_sizes_is_a_line(daf, finished, folder, tmp_path):
    refused(daf("export", "nothing"), "nothing")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "recipe.toml").write_bytes((folder / "run" / "recipe.toml").read_bytes())
    refused(daf("export", unfinished), "results.json: cannot be read: .*; has the run finished?")
    painter = finished.generator()
    painter.multiple, painter.smallest = 4, 10
    for size in ((8, 16), (16, 18)):
        with pytest.raises(DataError, match=rf"size {size[0]}x{size[1]} .* must be multiples of 4 and 12 or more"):
            daf_export.export(finished, size=size)
    code, _, errors = daf("export", finished.folder, "--size", "12")
    assert code == 2 and "as in 512x1024, got '12'" in errors


def test_a_package_that_is_missing_is_a_line_that_names_the_extra(monkeypatch):
    import sys

    for form, package in (("onnx", "onnxruntime"), ("safetensors", "safetensors")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(RunError, match=rf"needs {package} .*pip install 'daframework\[export\]'"):
            daf_export.export(SimpleNamespace(), format=form)
    with pytest.raises(DataError, match="no format named 'onxn'; did you mean 'onnx'"):
        daf_export.export(SimpleNamespace(), format="onxn")


def test_the_page_names_every_option_and_what_files_say():
    named = set(re.findall(r"^\| `(--\w+)", PAGE, re.MULTILINE))
    assert named == {name for one in command.params for name in one.opts if name.startswith("--")}
    assert set(FORMATS) == set(next(one for one in command.params if one.name == "form").type.choices)
    said = {"daframework", "recipe", "seed", "kind", "row", "input", "input_range", "output", "output_range", "classes"}
    keys = said | {"component", "multiple", "smallest", "padding", "size", "resize"}
    assert keys == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
