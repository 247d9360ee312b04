"""The command line as a user meets it: exit codes, one line for an error, interruption."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import tiny
import tomli_w
import torch
from conftest import SIZES, install, refused
from forked import Forked
from PIL import Image

from daframework.cli import main
from daframework.cli.interrupt import stop_on_signal
from daframework.cli.options import complete_components, uncollected
from daframework.data.decode import image_size, read_image
from daframework.errors import RecipeError, RunError

DAF = [sys.executable, "-c", "from daframework.cli import main; main()"]


# --- without a recipe ---


@pytest.mark.parametrize("arguments", [("rnu",), ("run",), ("run", "x", "--sed", "1"), ("run", "x", "--seed", "one")])
def test_a_command_line_that_cannot_be_read_ends_with_2_and_says_how_it_goes(daf, arguments):
    code, _, errors = daf(*arguments)
    assert code == 2 and "Usage: daf" in errors and "Traceback" not in errors
    assert "translate" in "".join(map(str, daf()))  # no command shows the commands


def test_what_a_library_warns_of_is_a_line_without_its_code(daf, write, tables, monkeypatch):
    def model(self):
        warnings.warn("this encoder\n is odd", stacklevel=1)
        return built(self)

    built = tiny.Pixels.model
    monkeypatch.setattr(tiny.Pixels, "model", model)
    code, _, errors = daf("check", write(tables))
    assert (code, set(errors.splitlines())) == (0, {"warning: this encoder is odd"})


def test_a_reader_that_goes_away_is_no_error():
    process = subprocess.Popen([*DAF, "recipes", "cyclegan"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.wait()
    assert errors == "" and process.returncode in (0, 1)


def test_components_are_listed_with_where_they_come_from(daf):
    code, out, _ = daf("plugins")
    assert code == 0 and re.search(r"^generator:painter +daf-tiny 1\.2 \(tiny\)$", out, re.MULTILINE)
    assert "dataset:streets" in out and "task:segmentation" in out
    listed = json.loads(daf("plugins", "--json")[1])
    assert [f"{one['kind']}:{one['name']}" for one in listed] == [line.split()[0] for line in out.splitlines()]
    painter = {"kind": "generator", "name": "painter", "plugin": "tiny", "distribution": "daf-tiny", "version": "1.2"}
    assert painter in listed
    assert [one.value for one in complete_components(None, None, "generator:pai")] == ["generator:painter"]


def test_a_component_is_explained_by_its_signature_and_docstring(daf):
    code, out, _ = daf("plugins", "dataset:blocks")
    assert code == 0 and "dataset 'blocks' of tiny (daf-tiny 1.2)" in out
    assert "look: str = 'bright'" in out and "(supplied: " in out and "Blocks on a road." in out
    told = json.loads(daf("plugins", "dataset:blocks", "--json")[1])
    options = [one["name"] for one in told["options"]]
    assert options == ["look", "images", "size", "classes"] and "Blocks on a road." in told["description"]
    refused(daf("plugins", "dataset:bloks"), "no dataset named 'bloks'; did you mean 'blocks'")
    refused(daf("plugins", "data:blocks"), "no kind named 'data'.*write it as generator:resnet")


def test_recipes_are_listed_and_printed(daf):
    code, out, _ = daf("recipes")
    assert code == 0 and re.search(r"^source_only +The row to beat", out, re.MULTILINE)
    code, out, _ = daf("recipes", "source_only")
    assert code == 0 and 'name = "source_only"' in out
    assert json.loads(daf("recipes", "source_only", "--json")[1]) == tomllib.loads(out)
    listed = {one["name"]: one for one in json.loads(daf("recipes", "--json")[1])}
    assert listed["source_only"]["description"].startswith("The row to beat")
    refused(daf("run", "cyclgan"), "cyclgan: not a file, and no recipe named 'cyclgan'; did you mean 'cyclegan'")
    refused(daf("recipes", "sauce_only"), "no recipe named 'sauce_only'; did you mean 'source_only'")


def test_a_plugin_that_cannot_be_imported_is_a_warning(daf, installed, write, tables):
    install(installed, "daf-broken", "0.3", {"broken_two": "daf_not_there"})
    code, out, errors = daf("check", write(tables))
    assert code == 0 and "is sound" in out
    assert errors == (
        "warning: plugin broken_two (daf-broken 0.3) cannot be imported: ModuleNotFoundError: "
        "No module named 'daf_not_there'\n"
    )


# --- errors ---


def test_a_sound_recipe_is_called_so(daf, write, tables):
    path = write(tables)
    assert daf("check", path) == (0, f"{path}: tiny is sound\n", "")


def test_every_problem_of_a_recipe_is_a_line(daf, write, tables):
    tables["data"]["crop_size"] = [0, 8]
    del tables["task"]
    path = write(tables)
    for command in ("check", "run"):
        refused(daf(command, path), f"{path}: data.crop_size: must be", f"{path}: task: missing")
    assert not list(Path().iterdir())


def test_overrides_and_seed_are_checked_too(daf, write, tables):
    path = write(tables)
    refused(daf("check", path, "--set", "generator.chanels=3"), "no option named 'chanels'; did you mean 'channels'")
    refused(daf("check", path, "--set", "x"), "--set x: must be KEY=VALUE")
    refused(daf("check", path, "--seed", "-1"), "seed: must be between 0 and")
    assert daf("check", path, "--set", "generator.channels=3", "--seed", "7")[0] == 0


def test_debug_shows_where_an_error_was_raised(daf, monkeypatch):
    for arguments in (["--debug", "run", "nothing"], ["run", "nothing", "--debug"]):
        monkeypatch.setattr(sys, "argv", ["daf", *arguments])
        with pytest.raises(RecipeError):
            main()


def test_an_unexpected_error_is_a_line_that_says_how_to_see_more(daf, installed, write, tables):
    (installed / "daf_faulty.py").write_text(
        "from daframework import hookimpl\n"
        "from tiny import Blocks, CLASSES\n"
        "class Faulty(Blocks):\n"
        "    def __len__(self): return 1 // 0\n"
        "def faulty(*, split): return Faulty('dark', split, 6, (32, 48), CLASSES)\n"
        "@hookimpl\n"
        "def daf_datasets(): return {'faulty': faulty}\n"
    )
    install(installed, "daf-faulty", "1", {"faulty": "daf_faulty"})
    tables["source"] = {"name": "faulty"}
    refused(
        daf("check", write(tables)),
        r"^error: unexpected ZeroDivisionError: integer division or modulo by zero \(a fault of daframework or of "
        r"plugin faulty \(daf-faulty 1\), line 4 of daf_faulty\.py; the same command with --debug shows where\)$",
    )


def test_a_component_that_fails_where_it_is_tried_is_named_with_its_line(daf, write, tables, installed):
    (installed / "daf_slips.py").write_text(
        "from daframework import hookimpl\n"
        "from daframework.interfaces import Loss\n"
        "class Slip(Loss):\n"
        "    def generator_loss(self, images): return images.fake_taget.mean()\n"
        "@hookimpl\n"
        "def daf_losses(): return {'slip': Slip}\n"
    )
    install(installed, "daf-slips", "1", {"slips": "daf_slips"})
    tables["losses"].append({"name": "slip"})
    where = r"\(in loss 'slip', plugin slips \(daf-slips 1\), line 4 of daf_slips\.py\)"
    refused(daf("check", write(tables)), rf"losses: a step fails: AttributeError: .*fake_taget.* {where}")
    code, out, _ = daf("plugins", "--check", "loss:slip")
    assert code == 1 and re.search(r"broken +loss:slip .*AttributeError: .*fake_taget.* \(plugin slips .*, line 4", out)


# --- a run ---


def test_a_run_prints_its_table_and_where_everything_is(daf, write, tables, tmp_path):
    path = write(tables)
    code, out, errors = daf("run", path)
    assert code == 0 and errors == ""
    assert f"recipe {path}, seed 0, into runs/tiny/seed0" in out
    assert "results in runs/tiny/seed0/results.json" in out and "sample images in runs/tiny/seed0/samples" in out
    for method in ("source_only", "tiny", "oracle"):
        assert re.search(rf"│ {method} +│ +\d+\.\d", out)
    assert re.search(r"translation 4/4  G/least_squares \d", out)

    again = daf("run", path)
    assert again[0] == 0 and "4/4" not in again[1] and "│ tiny" in again[1]
    refused(daf("run", path, "--out", "runs/tiny/seed0", "--seed", "1"), r"another recipe \(seed was 0, now 1\)")

    code, out, _ = daf("report", "runs")
    assert code == 0 and re.search(r"│ tiny +│ +\d+\.\d", out)


def test_a_folder_that_cannot_be_written_is_a_line(daf, write, tables, tmp_path):
    (tmp_path / "file").touch()
    refused(
        daf("run", write(tables), "--out", tmp_path / "file" / "run"), "file/run cannot be written: Not a directory"
    )
    refused(daf("run", write(tables), "--out", tmp_path / "file"), "file is a file; give a folder with --out")


def test_a_report_of_nothing_is_a_line(daf, tmp_path):
    refused(daf("report", tmp_path / "gone"), "gone holds no finished run")
    (tmp_path / "results.json").write_text("{}")
    refused(daf("report", tmp_path), r"results\.json: not a results file")


def test_the_first_signal_asks_and_the_second_leaves_at_once():
    before = signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        with stop_on_signal() as stopping:
            assert not stopping()
            signal.raise_signal(number)
            assert stopping()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_another_process_was_asked_is_not_a_first_signal():
    with stop_on_signal() as asked:
        asked.stop(signal.SIGTERM)  # as the watcher does, when another process has heard of it sooner
        assert asked() and asked.exit_code == 143
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_the_warning_of_a_scheduler_asks_once_to_save_and_never_to_stop():
    with stop_on_signal() as asked:
        assert not asked.saving()
        signal.raise_signal(signal.SIGUSR1)
        assert (asked.saving(), asked.saving(), asked()) == (True, False, False)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_asked_to_save_before_there_is_anything_to_save_a_run_goes_on(daf, monkeypatch):
    monkeypatch.setattr("daframework.cli.run.find_place", lambda _: signal.raise_signal(signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    try:
        daf("run", "cyclegan")  # or the signal would end these tests
    finally:
        signal.signal(signal.SIGUSR1, before)


def interrupt_when_it_logs(arguments, log, number):
    """Start daf as a process group of its own, wait for a new line in its log, and send the signal to the group."""
    lines = len(log.read_text().splitlines()) if log.exists() else 0
    process = Forked(arguments)
    process.wait_until(lambda: log.exists() and len(log.read_text().splitlines()) > lines)
    os.killpg(process.pid, number)
    out, errors = process.communicate()
    return process.returncode, out, errors


def test_an_interrupted_run_saves_and_goes_on(installed, write, source_only, tmp_path):
    source_only["downstream"]["steps"] = 10**7
    source_only["log"] = {"every": 1, "checkpoint_every": 10**7}
    source_only["hardware"]["workers"] = 1
    arguments = ["run", write(source_only), "--out", tmp_path / "run"]
    done = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        code, out, errors = interrupt_when_it_logs(arguments, tmp_path / "run" / "log.jsonl", number)
        assert code == 128 + number, errors
        before, done = done, torch.load(tmp_path / "run/checkpoints/source_only.pt", weights_only=True)["done"]
        assert done > before
        assert errors == (
            f"stopped after step {done} of 10000000 of training on source_only; the same command goes on from there\n"
        )
        resumed = f", {before} done before" if before else ""
        assert f"training on source_only: 10000000 steps{resumed}\n" in out
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, done + 1))


# --- translating a folder ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory, plugins):
    """A run whose translation is finished."""
    from conftest import TABLES

    from daframework.networks import make_networks
    from daframework.recipes.read import parse
    from daframework.storage.checkpoint import save
    from daframework.storage.run_folder import open_folder

    recipe = parse(TABLES | {"generator": {"name": "painter", "multiple": 8}}, "r")
    folder = open_folder(tmp_path_factory.mktemp("runs") / "tiny", recipe)
    generator = make_networks(plugins, recipe, 3).generators["source_to_target"]
    save(folder.checkpoint("generator"), {"generator": generator.state_dict(), "num_classes": 3})
    return folder.path, generator


def test_translating_keeps_names_folders_and_sizes(daf, trained, images, tmp_path):
    run, generator = trained
    out = tmp_path / "out"
    code, text, errors = daf("translate", run, images, out)
    assert (code, errors) == (0, "") and f"4 images in {out}" in text
    found = {str(file.relative_to(out)): image_size(file) for file in out.rglob("*") if file.is_file()}
    assert found == SIZES
    with torch.no_grad():
        expected = generator(torch.from_numpy(read_image(images / "a.png"))[None] / 127.5 - 1)[0].add(1).mul(127.5)
    assert abs(read_image(out / "a.png") - expected.numpy()).max() < 0.51


def test_translating_refuses_to_overwrite_unless_told(daf, trained, images, tmp_path):
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "sub" / "b.jpg").write_text("precious")
    refused(daf("translate", trained[0], images, out), r"b\.jpg is there already \(1 such files\); add --overwrite")
    assert [file.name for file in out.rglob("*") if file.is_file()] == ["b.jpg"]
    assert daf("translate", trained[0], images, out, "--overwrite")[0] == 0
    assert image_size(out / "sub" / "b.jpg") == SIZES["sub/b.jpg"]


def test_formats_that_are_not_written_become_png(daf, trained, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (9, 7)).save(folder / "a.bmp")
    Image.new("RGB", (9, 7)).save(folder / "b.webp")
    assert daf("translate", trained[0], folder, tmp_path / "out")[0] == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
    Image.new("RGB", (9, 7)).save(folder / "a.png")
    refused(daf("translate", trained[0], folder, tmp_path / "new"), r"a\.bmp and .*a\.png would both become .*a\.png")


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", r"z\.png: the file is empty"),
        (b"hello", r"z\.png: not an image"),
        (None, r"z\.png: truncated or damaged"),
    ],
    ids=["empty", "text", "truncated"],
)
def test_a_file_that_cannot_be_translated_is_named(daf, trained, images, tmp_path, content, says):
    whole = (images / "a.png").read_bytes()
    (images / "z.png").write_bytes(whole[: len(whole) // 2] if content is None else content)
    refused(daf("translate", trained[0], images, tmp_path / "out"), says)


def test_folders_that_cannot_be_used_are_named(daf, trained, images, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(daf("translate", trained[0], tmp_path / "gone", tmp_path / "out"), "gone: not a folder of images")
    refused(daf("translate", trained[0], tmp_path / "empty", tmp_path / "out"), r"empty: holds no image \(\.bmp")
    (tmp_path / "file").touch()
    refused(daf("translate", trained[0], images, tmp_path / "file" / "out"), "file: is a file, not a folder")
    refused(daf("translate", tmp_path / "gone", images, tmp_path / "out"), "gone holds no run")


def test_a_generator_that_is_missing_or_of_another_shape_is_named(daf, write, tables, images, tmp_path, trained):
    tables["generator"] = {"name": "painter", "channels": 5}
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "recipe.toml").write_text(tomli_w.dumps(tables))
    refused(daf("translate", run, images, tmp_path / "out"), "holds no trained generator")
    (run / "checkpoints" / "generator.pt").write_bytes((trained[0] / "checkpoints" / "generator.pt").read_bytes())
    refused(daf("translate", run, images, tmp_path / "out"), r"generator\.pt does not fit the recipe's generator")


def test_garbage_is_looked_for_again_after_what_makes_none(daf):
    with pytest.raises(RunError), uncollected():
        assert not gc.isenabled()
        raise RunError
    assert gc.isenabled()
    refused(daf("check", "nothing.toml"), r"nothing\.toml")
    assert gc.isenabled()
