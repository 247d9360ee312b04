"""``daf data check`` on real files: everything that is wrong is a line, nothing is said twice, and sound sets pass."""

import json
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import install, refused
from PIL import Image

CLASSES = ["--set", 'classes=["road", "sky"]']
IDS = ["--set", 'ids={"0" = "road", "7" = "sky", "255" = "ignore"}']
SPLITS = ["--set", "train_folder=train", "--set", "test_folder=test"]
TRAIN_TEST = {"train_folder": "train", "test_folder": "test"}
FOLDER = {"classes": ["road", "sky"], "ids": {"0": "road", "7": "sky", "255": "ignore"}}


def folder(root):
    """A set of two splits as a recipe names it."""
    return {"name": "image_folder", "root": str(root), **TRAIN_TEST, **FOLDER}


def noise(seed, height=8, width=12):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **options)


def label(height=8, width=12):
    ids = np.zeros((height, width), dtype=np.uint8)
    ids[: height // 2] = 7
    ids[-1, -1] = 255
    return ids


def read_all(folder, last):
    """The pixels of all PNG files below a folder, (pixels, *last)."""
    return np.concatenate([np.asarray(Image.open(path)).reshape(-1, *last) for path in folder.rglob("*.png")])


def fill(folder, names, first=0):
    for seed, name in enumerate(names, first):
        save(folder / "images" / f"{name}.png", noise(seed))
        save(folder / "labels" / f"{name}.png", label())


@pytest.fixture
def sound(tmp_path):
    """Six pairs to train on and three to test on."""
    root = tmp_path / "set"
    fill(root / "train", ["a/0", "a/1", "b/2", "b/3", "b/4", "b/5"])
    fill(root / "test", ["c/6", "c/7", "c/8"], first=6)
    return root


@pytest.fixture
def recipe(write, source_only):
    """Write a recipe of tiny parts without a translation, with tables of one's own."""
    return lambda **own: write(source_only | {"data": {"crop_size": [8, 12]}} | own)


@pytest.fixture
def check(daf):
    """Run the command on a folder of two splits, in this process unless told."""

    def run(root, *more, workers=0):
        return daf("data", "check", "image_folder", root, *CLASSES, *IDS, *SPLITS, "--workers", workers, *more)

    return run


def problems(out, level="error"):
    return [line.removeprefix(f"{level}: ") for line in out.splitlines() if line.startswith(f"{level}: ")]


def cells(out, row):
    """The cells of a row of the summary."""
    (line,) = [line for line in out.splitlines() if line.strip().startswith(row)]
    return re.split(r"\s{2,}", line.strip().removeprefix(row).strip())


# --- sound sets ---


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sound_set_passes_with_a_summary(check, sound, workers):
    fill(sound / "train", [f"more/{index}" for index in range(40)], first=100)
    code, out, errors = check(sound, workers=workers)
    assert code == 0 and errors == ""
    assert cells(out, "images") == cells(out, "labels") == ["46", "3"]
    assert cells(out, "height x width") == ["8 x 12", "8 x 12"] and cells(out, "classes seen") == ["2 of 2", "2 of 2"]
    assert out.splitlines()[-1] == "49 images: 0 errors, 0 warnings"


def test_files_of_every_kind_that_can_be_read_pass(check, sound):
    images = sound / "train" / "images"
    Image.fromarray(noise(50)).save(images / "a" / "0.png", "JPEG")  # another format than its name says
    Image.fromarray(noise(51)[..., 0]).save(images / "a" / "1.png")
    Image.fromarray(noise(52)).convert("P").save(images / "b" / "2.png")
    Image.fromarray(noise(53)).convert("RGBA").save(images / "b" / "3.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(54, 12, 8)).save(images / "b" / "4.png", exif=exif)  # lies on its side, its label does not
    save(sound / "train" / "labels" / "b" / "5.png", label().astype(np.uint16))
    code, out, _ = check(sound)
    assert code == 0 and problems(out) == problems(out, "warning") == []


def test_mean_and_contrast_are_those_of_all_pixels(check, sound):
    save(sound / "train" / "images" / "a" / "0.png", noise(99, 20, 30))
    save(sound / "train" / "labels" / "a" / "0.png", label(20, 30))
    code, out, _ = check(sound, "--json", "-")
    train = json.loads(out)["sets"][0]
    pixels = read_all(sound / "train/images", [3])
    assert code == 0
    assert train["mean"] == pytest.approx(pixels.mean(0))
    assert train["contrast"] == pytest.approx(pixels.std(0))
    assert sorted(train["sizes"]) == [[8, 12, 5], [20, 30, 1]]
    labels = read_all(sound / "train/labels", [])
    assert train["classes"]["sky"] == {"pixels": int((labels == 7).sum()), "images": 6}


# --- errors: all of them, each once ---


def test_everything_that_is_wrong_is_named_and_not_only_the_first_thing(check, sound):
    train = sound / "train"
    whole = (train / "images/a/0.png").read_bytes()
    (train / "images/a/0.png").write_bytes(whole[: len(whole) // 2])
    save(train / "labels/a/0.png", np.full((8, 12), 9, dtype=np.uint8))  # and its label is wrong too
    (train / "images/a/1.png").write_bytes(b"")
    (train / "images/b/2.png").write_text("<html>404</html>")
    save(train / "labels/b/3.png", label(16, 24))
    save(train / "labels/b/4.png", noise(0))
    Image.fromarray(np.zeros((8, 12), dtype=np.uint16)).save(train / "images/b/5.png")
    fill(train, ["n/1", "n/2"], first=20)
    (train / "labels/n/1.png").unlink()
    (train / "images/n/2.png").unlink()
    Image.new("CMYK", (12, 8)).save(sound / "test/images/c/6.jpg")
    (sound / "test/images/c/6.png").unlink()
    code, out, _ = check(sound)
    found = problems(out)
    expected = [
        r"train/images/n/1\.png: without a label in .*; add NAME\.png, or take it away",
        r"train/labels/n/2\.png: without an image in ",
        r"train/images/a/0\.png: truncated or damaged",
        r"train/labels/a/0\.png: id 9 \(96 pixels\) is not in the id map",
        r"train/images/a/1\.png: the file is empty",
        r"train/images/b/2\.png: not an image",
        r"train/labels/b/3\.png: 16 x 24 pixels \(height x width\), but its image .* has 8 x 12",
        r"train/labels/b/4\.png: a label image must hold class ids.*daf data convert .*/labels/b OUT --from-colours",
        r"train/images/b/5\.png: holds 16 bits a channel",
        r"test/images/c/6\.jpg: colour mode CMYK is not supported",
    ]
    assert code == 1 and len(found) == len(expected), found
    for line, pattern in zip(found, expected, strict=True):
        assert re.search(pattern, line), (line, pattern)
    assert cells(out, "errors") == ["9", "1"]
    assert out.splitlines()[-1] == "10 images: 10 errors, 0 warnings"


@pytest.fixture
def thousand(tmp_path):
    """A thousand pairs in which two labels are wrong: an unknown id, and the size of another image."""
    root = tmp_path / "thousand"
    fill(root, [f"{index // 100}/{index:03d}" for index in range(1000)])
    save(root / "labels/3/333.png", np.full((8, 12), 42, dtype=np.uint8))
    save(root / "labels/8/888.png", label(9, 12))
    return root


def test_two_label_errors_among_a_thousand_are_both_named(daf, thousand):
    code, out, _ = daf("data", "check", "image_folder", thousand, *CLASSES, *IDS, "--workers", 2)
    unknown, size = problems(out)
    assert code == 1 and "labels/3/333.png: id 42 (96 pixels)" in unknown
    assert "labels/8/888.png: 9 x 12 pixels" in size and "images/8/888.png has 8 x 12" in size


def test_a_run_that_meets_a_label_error_names_it(daf, recipe, thousand, sound):
    # Every image of the source is seen once, so that a run meets both, one after the other.
    path = recipe(
        source={"name": "image_folder", "root": str(thousand), **FOLDER},
        target=folder(sound),
        downstream={"steps": 100, "batch_size": 10, "oracle": False},
    )
    named = []
    for _ in range(2):
        code, _, errors = daf("run", path)
        assert code == 1 and len(errors.splitlines()) == 1, errors
        assert re.search(r"labels", errors), errors
        named += re.findall(r"labels/\d/(\d+)\.png: (?:id 42|9 x 12)", errors)
        save(thousand / "labels" / named[-1][0] / f"{named[-1]}.png", label())
    assert sorted(named) == ["333", "888"]


def test_a_folder_without_labels_is_one_error_and_images_are_still_looked_at(check, sound):
    for path in (sound / "train/labels").rglob("*.png"):
        path.unlink()
    for folder in ("a", "b", "."):
        (sound / "train/labels" / folder).rmdir()
    (sound / "train/images/b/5.png").write_bytes(b"")
    code, out, _ = check(sound)
    missing, empty = problems(out)
    assert code == 1 and "train/labels: no such folder" in missing and "b/5.png: the file is empty" in empty
    code, out, _ = check(sound, "--images-only")
    assert code == 1 and len(problems(out)) == 1 and cells(out, "labels") == ["not read", "not read"]


def test_labels_without_ids_are_one_error_a_split(daf, sound):
    code, out, _ = daf("data", "check", "image_folder", sound, *CLASSES, *SPLITS, "--workers", 0)
    first, second = problems(out)
    assert code == 1 and first == second and first.startswith("image_folder: labels are asked for, but no ids")


def test_what_cannot_be_opened_is_an_error_beside_the_others(check, sound):
    for path in (sound / "test/images").rglob("*.png"):
        path.unlink()
    (sound / "train/images/b/5.png").write_bytes(b"")
    code, out, _ = check(sound)
    first, second = problems(out)
    assert code == 1 and "image_folder test: " in first and "holds no images" in first and "b/5.png" in second


# --- duplicates ---


def test_an_image_in_train_and_test_is_an_error_also_when_it_was_saved_anew(check, sound):
    # Other bytes, the same pixels.
    Image.open(sound / "train/images/a/1.png").save(sound / "test/images/c/6.bmp")
    (sound / "test/images/c/6.png").unlink()
    code, out, _ = check(sound)
    (line,) = problems(out)
    assert code == 1 and re.search(
        r"test/images/c/6\.bmp: of image_folder test, the same image as .*a/1\.png, which", line
    )


def test_an_image_twice_in_one_split_is_a_warning(check, sound):
    save(sound / "train/images/a/1.png", noise(0))
    code, out, _ = check(sound)
    (line,) = problems(out, "warning")
    assert code == 0 and re.search(
        r"a/1\.png: the same image as .*a/0\.png, also of image_folder train; keep one", line
    )


def test_splits_of_the_same_files_are_read_once_and_told_of(daf, sound, recipe):
    arguments = ("image_folder", sound / "train", *CLASSES, *IDS, "--workers", 0)
    code, out, _ = daf("data", "check", *arguments)
    (line,) = problems(out, "warning")
    assert code == 0 and line.startswith("image_folder test: the same 6 files as image_folder train")
    assert out.splitlines()[-1] == "6 images: 0 errors, 1 warning" and cells(out, "warnings") == ["1"]
    # A recipe is scored on them.
    own = {"name": "image_folder", "root": str(sound / "train"), **FOLDER}
    path = recipe(source={**own, "root": str(sound / "test")}, target=own)
    code, out, _ = daf("data", "check", path, "--workers", 0)
    (line,) = problems(out)
    assert code == 1 and line.startswith("target test: the same 6 files as target train")


# --- warnings ---


def test_what_shows_nothing_and_a_class_that_never_occurs_are_warnings(check, sound):
    for path in (sound / "train/labels").rglob("*.png"):
        save(path, np.zeros((8, 12), dtype=np.uint8))
    code, out, _ = check(sound)
    assert code == 0 and cells(out, "classes seen") == ["1 of 2", "2 of 2"]
    never = "image_folder train: sky never occurs in its 6 labels; nothing can be learned or scored there"
    assert problems(out, "warning") == [never]
    save(sound / "train/images/a/0.png", np.full((8, 12, 3), 9, dtype=np.uint8))
    save(sound / "train/labels/b/5.png", np.full((8, 12), 255, dtype=np.uint8))
    code, out, _ = check(sound)
    dark, empty, _ = problems(out, "warning")
    assert code == 0 and re.search(r"a/0\.png: shows next to nothing \(.* deviation of 0\.0\)", dark)
    assert "b/5.png: its label ignores every pixel" in empty


# --- recipes ---


def test_a_recipes_domains_are_checked_as_a_run_opens_them(daf, sound, recipe):
    (sound / "train/labels/a/0.png").write_bytes(b"")
    path = recipe(source=folder(sound), target=folder(sound) | {"train_folder": "test"})
    _, out, _ = daf("data", "check", path, "--workers", 0)
    assert [line.split(": ")[0] for line in problems(out)] == ["target test", f"{sound}/train/labels/a/0.png"]


def test_labels_of_the_targets_training_images_are_read_only_for_an_oracle(daf, sound, recipe):
    other = sound.parent / "other"
    fill(other / "train", ["x", "y"], first=70)
    fill(other / "test", ["z"], first=80)
    (other / "train/labels/x.png").write_bytes(b"")
    path = recipe(source=folder(sound), target=folder(other))
    code, out, _ = daf("data", "check", path, "--workers", 0)
    assert code == 1 and len(problems(out)) == 1 and cells(out, "labels") == ["6", "1", "1"]
    code, out, _ = daf("data", "check", path, "--workers", 0, "--set", "downstream.oracle=false")
    assert code == 0 and problems(out) == [] and cells(out, "labels") == ["6", "not read", "1"]


def test_labels_are_checked_in_the_recipes_label_space(daf, sound, recipe, write):
    space = write({"classes": [{"name": "all", "colour": [1, 2, 3]}]}, "one.toml")
    own = folder(sound)
    mapped = {"road": "all", "sky": "all"}
    data = {"crop_size": [8, 12], "classes": str(space), "source_map": mapped, "target_map": mapped}
    save(sound / "train/labels/a/0.png", np.full((8, 12), 9, dtype=np.uint8))
    path = recipe(source=own, target=own | {"train_folder": "test", "test_folder": "test"}, data=data)
    code, out, _ = daf("data", "check", path, "--workers", 0)
    assert (
        code == 1 and "labels/a/0.png: id 9" in problems(out)[1] and cells(out, "classes seen") == ["1 of 1", "1 of 1"]
    )


def test_a_domain_that_is_missing_does_not_hide_the_other(daf, sound, recipe):
    (sound / "train/images/a/0.png").write_bytes(b"")
    path = recipe(source=folder(sound), target=folder(sound / "gone"))
    code, out, _ = daf("data", "check", path, "--workers", 0)
    found = problems(out)
    assert code == 1 and len(found) == 3 and "target train: " in found[0] and "target test: " in found[1]
    assert "no such folder" in found[0] and "a/0.png: the file is empty" in found[2]


# --- datasets of others ---

STRANGE = """
import os, signal
import torch
from multiprocessing import current_process, parent_process
from daframework import hookimpl
from daframework.errors import DataError
from daframework.interfaces import ImageDataset, Sample

class Strange(ImageDataset):
    classes, palette = ("road", "sky"), ((0, 0, 0), (9, 9, 9))
    def __init__(self, *, split: str, images: int = 20, fault: str = ""):
        self.split, self.images, self.fault = split, images, fault
    def __len__(self):
        return self.images
    def __getitem__(self, index):
        noise = torch.Generator().manual_seed(index + 1000 * (self.split == "test"))
        image = torch.randint(0, 256, (3, 8, 12), generator=noise, dtype=torch.uint8)
        label = torch.arange(96, dtype=torch.uint8).view(8, 12) % 2
        if index == 3:
            if self.fault == "interrupt" and self.split == "train":
                os.kill((parent_process() or current_process()).pid, signal.SIGINT)
            if self.fault == "raise":
                raise KeyError("four")
            if self.fault == "data":
                raise DataError("four.bin: damaged; fetch it again")
            if self.fault == "label":
                label[0] = 2
            if self.fault == "none":
                label = None
            if self.fault == "shape":
                image = image[:2]
            if self.fault == "empty":
                image, label = image[:, :0], label[:0]
            if self.fault == "no image":
                image = None
            if self.fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
        return Sample(image, label, f"{self.split}/{index}")

@hookimpl
def daf_datasets():
    return {"strange": Strange}
"""


@pytest.fixture
def strange(daf, installed):
    (installed / "daf_strange.py").write_text(STRANGE)
    install(installed, "daf-strange", "1", {"strange": "daf_strange"})

    def run(*more, workers=0):
        return daf("data", "check", "strange", "--workers", workers, *more)

    return run


def test_a_dataset_that_knows_nothing_of_checks_is_checked_by_reading_it(strange):
    code, out, _ = strange()
    assert code == 0 and problems(out) == [] and cells(out, "images") == ["20", "20"]
    code, out, _ = strange("--set", "images=0")
    assert code == 1 and "strange train: holds no image" in problems(out)[0]


@pytest.mark.parametrize(
    "fault, says",
    [
        ("raise", r"image 3: unexpected KeyError: 'four' \(a fault of the dataset\)"),
        ("data", r"four\.bin: damaged; fetch it again"),
        ("label", r"label of train/3: id 2 \(12 pixels have such ids\) is not a class"),
        ("none", r"image train/3: has no label"),
        ("shape", r"image train/3: must be uint8 \(3, H, W\) with a pixel or more, got uint8 \(2, 8, 12\)"),
        ("empty", r"image train/3: must be uint8 \(3, H, W\) with a pixel or more, got uint8 \(3, 0, 12\)"),
        ("no image", r"image train/3: has no image"),
    ],
)
def test_whatever_a_strangers_dataset_does_the_rest_is_checked(strange, fault, says):
    code, out, _ = strange("--set", f"fault={fault}")
    assert code == 1 and len(problems(out)) == 2 and re.fullmatch(f"{says}.*", problems(out)[0])
    assert out.splitlines()[-1] == "40 images: 2 errors, 0 warnings"


@pytest.mark.parametrize("workers", [0, 2])
def test_an_interruption_ends_cleanly_and_says_how_far_it_got(strange, workers):
    options = ("--set", "fault=interrupt", "--set", "images=400", "--json", "found.json")
    code, out, errors = strange(*options, workers=workers)
    stopped = re.fullmatch(r"stopped after (\d+) of 800 images: 0 errors, 0 warnings so far", out.splitlines()[-1])
    assert code == 130 and errors == "" and stopped
    found = json.loads(Path("found.json").read_text())
    assert found["complete"] is False and len(found["sets"]) == 1
    assert found["sets"][0]["read"] == int(stopped[1]) < 400


def test_a_second_interruption_ends_it_while_it_waits_for_its_processes(strange, monkeypatch):
    shut_down = ProcessPoolExecutor.shutdown

    def interrupted(pool, **given):
        shut_down(pool, **given)
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessPoolExecutor, "shutdown", interrupted)
    code, out, errors = strange("--set", "fault=interrupt", "--set", "images=400", workers=2)
    assert code == 130 and errors.endswith("stopped\n") and "Traceback" not in out + errors


def test_closed_output_is_no_fault(check, sound, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert check(sound, "--json", "found.json")[0] == 0 and json.loads(Path("found.json").read_text())["complete"]


def test_a_process_that_is_killed_is_told_of(strange):
    # In a process of its own: what is left of the other workers must not outlive it.
    arguments = ["data", "check", "strange", "--set", "fault=killed", "--workers", "2"]
    script = "from daframework.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    refused((done.returncode, done.stdout, done.stderr), "a process that read files was killed.*use fewer workers")


# --- what is printed ---


def test_json_says_what_the_lines_say(check, sound):
    (sound / "train/images/a/0.png").write_bytes(b"")
    code, out, errors = check(sound, "--json", "-")
    found = json.loads(out)
    assert code == 1 and found["complete"] is True and (found["errors"], found["warnings"]) == (1, 0)
    (problem,) = found["problems"]
    assert problem["level"] == "error" and problem["set"] == "image_folder train"
    assert problem["image"] == str(sound / "train/images/a/0.png") and problem["message"] in errors
    assert [one["set"] for one in found["sets"]] == ["image_folder train", "image_folder test"]


def test_a_file_is_not_overwritten_and_nothing_is_read_before_that_is_said(check, sound):
    Path("found.json").write_text("precious")
    refused(check(sound, "--json", "found.json"), r"found\.json is there already; add --overwrite")
    assert Path("found.json").read_text() == "precious"
    assert check(sound, "--json", "found.json", "--overwrite")[0] == 0
    assert json.loads(Path("found.json").read_text())["errors"] == 0


def test_names_with_markup_or_escapes_are_shown_as_text(check, sound):
    name = "[red]x[red] \x1b[31m\n"
    (sound / "train/images/a" / f"{name}.png").write_bytes(b"")
    code, out, _ = check(sound)
    assert code == 1 and "\x1b" not in out
    assert [r"[red]x[red] \x1b[31m\n.png" in line for line in problems(out)] == [True, True]


def test_a_name_with_escapes_is_shown_as_text_by_a_run_too(daf, sound, recipe):
    save(sound / "train/images/a/\x1b[31m.png", noise(9))
    refused(daf("run", recipe(source=folder(sound), target=folder(sound))), r"a/\\x1b\[31m\.png: without a label")


@pytest.mark.parametrize("command", ["check", "stats"])
def test_files_are_looked_at_without_torch(sound, command):
    script = """
import sys
from daframework.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
print("torch" in sys.modules)
"""
    arguments = ["data", command, "image_folder", str(sound), *CLASSES, *IDS, *SPLITS, "--workers", "0"]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


def test_what_is_neither_recipe_nor_dataset_is_named(daf):
    refused(
        daf("data", "check", "camvit"), "camvit: not a file, and no recipe .*; and no dataset named 'camvit'; did you"
    )
    refused(daf("data", "check", "camvit", "."), "no dataset named 'camvit'; did you mean 'camvid'")
    refused(daf("data", "check", "image_folder", ".", "--set", "clases=1", *CLASSES), "no option named 'clases'")
    refused(daf("data", "check", "image_folder", ".", *IDS), "name these in classes, too")


# --- links and rights ---


def test_a_file_that_is_a_link_to_itself_is_named(check, sound):
    path = sound / "train/images/a/0.png"
    path.unlink()
    path.symlink_to(path)
    code, out, _ = check(sound)
    assert code == 1 and re.search(r"a/0\.png: cannot be read \(.*symbolic links", problems(out)[0])


def turned(folder, names, orientation, *, labels=False):
    """The images of these names with an EXIF orientation, and their labels if asked."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in names:
        for kind in ("images", "labels")[: 1 + labels]:
            path = folder / kind / f"{name}.png"
            with Image.open(path) as image:
                pixels = np.asarray(image)
            Image.fromarray(pixels).save(path, exif=exif)


def test_images_that_exif_turns_and_whose_labels_it_does_not_are_one_warning_a_set(check, sound):
    turned(sound / "train", ["b/2", "b/3"], 3)
    code, text, _ = check(sound)
    said = [line for line in text.splitlines() if "EXIF" in line]
    assert code == 0 and len(said) == 1, text
    assert re.match(
        r"warning: image_folder train: 2 images, such as .*b/2\.png, turned by EXIF otherwise than the label", said[0]
    )
    turned(sound / "train", ["b/2", "b/3"], 3, labels=True)
    assert "EXIF" not in check(sound)[1]


def test_a_size_that_differs_since_exif_turns_the_image_says_so(check, sound):
    turned(sound / "train", ["a/0"], 6)
    code, text, _ = check(sound)
    assert code == 1 and re.search(
        r"labels/a/0\.png: 8 x 12 pixels .* has 12 x 8 \(EXIF turns one of the two by a quarter; save both turned", text
    )


def test_check_warns_where_the_first_image_is_turned_and_its_label_not(daf, sound, recipe):
    path = recipe(source=folder(sound), target=folder(sound), data={"crop_size": [8, 12], "batch_size": 2})
    assert "EXIF" not in "".join(daf("check", path)[1:])
    turned(sound / "train", ["a/0"], 3)
    code, text, errors = daf("check", path)
    assert code == 0 and "source: 1 image, such as" in text + errors
