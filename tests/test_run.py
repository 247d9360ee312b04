"""A run from its recipe to its results: what it leaves, what it skips, and how it goes on."""

import copy
import importlib.metadata
import json

import attrs
import numpy as np
import pytest
import tiny
import torch
from conftest import Recorder

from daframework import hookimpl
from daframework.compute.device import SINGLE, make_fabric
from daframework.data.decode import read_image, read_label, write_image
from daframework.errors import DataError, RecipeError, RunError, StoppedError
from daframework.interfaces import Generator
from daframework.listener import Listener
from daframework.recipes.read import parse, read
from daframework.registry import load_plugins
from daframework.runs.begin import begin
from daframework.runs.log import Listeners, LogFile, plugin_listeners
from daframework.runs.stages import execute
from daframework.runs.translation import load_generator
from daframework.storage.results import Results, Row, read_results, write_results
from daframework.storage.run_folder import RunFolder, open_folder, read_recipe


def run(plugins, tables, path, session, stop_after=None):
    recipe = parse(tables, "r")
    folder = open_folder(path, recipe)
    recorder = Recorder(stop_after)
    made = session(log=recorder, precision=recipe.hardware.precision)
    log = Listeners([LogFile(folder.log), *plugin_listeners(plugins, folder.path, recipe), recorder])
    results = execute(type(made)(made.fabric, log, recorder.stopping), plugins, recipe, folder)
    return results, recorder


def comparable(path):
    """results.json without what may differ between two runs of one recipe; somebody may commit between them."""
    content = json.loads((path / "results.json").read_text())
    del content["seconds"], content["environment"]["date"], content["environment"]["commit"]
    return content


@pytest.fixture(scope="module")
def finished(plugins, tmp_path_factory, module_session):
    """One run, undisturbed."""
    from conftest import TABLES

    path = tmp_path_factory.mktemp("runs") / "tiny"
    results, recorder = run(plugins, copy.deepcopy(TABLES), path, module_session)
    return path, results, recorder


# --- what a run leaves ---


def test_a_run_leaves_its_files(finished):
    path, _, _ = finished
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    images = {f"translated/{kind}/{index:06d}_train_{index}.png" for kind in ("images", "labels") for index in range(6)}
    assert files == images | {
        "recipe.toml",
        "environment.json",
        "log.jsonl",
        "seconds.json",
        "results.json",
        "translated/index.json",
        "samples/step_000004.png",
        *(
            f"scores/{name}.{kind}"
            for name in ("source_only", "tiny", "oracle", "semantic_preservation")
            for kind in ("json", "pt")
        ),
        *(f"checkpoints/{name}.pt" for name in ("source_only", "tiny", "oracle", "translation", "generator")),
    }


def test_while_it_runs_a_file_tells_the_stage_that_goes_on(tmp_path, plugins, recipe):
    class Reader(Recorder):
        def begin(self, stage, total, done):
            super().begin(stage, total, done)
            told.append(json.loads(progress.read_text()))

    told, reader, progress = [], Reader(), RunFolder(tmp_path / "run").progress
    begin(plugins, recipe, "tiny.toml", tmp_path / "run", lambda *_: [reader])
    assert told == [{"stage": stage, "step": done, "total": total} for stage, total, done in reader.stages]
    assert {"scoring source_only", "translation"} <= {one["stage"] for one in told} and not progress.exists()


def test_results_have_their_documented_form(finished):
    path, results, _ = finished
    content = json.loads((path / "results.json").read_text())
    assert list(content) == [
        "recipe",
        "seed",
        "classes",
        "metrics",
        "note",
        "images",
        "rows",
        "seconds",
        "environment",
        "digest",
    ]
    assert content["images"] == {"source": 6, "target": 6, "target_test": 6}
    assert (content["recipe"], content["seed"], content["classes"]) == ("tiny", 0, ["road", "sky", "tree"])
    assert [row["method"] for row in content["rows"]] == ["source_only", "tiny", "oracle"]
    for row in content["rows"]:
        assert list(row) == ["method", "mIoU", "pixel_accuracy", "IoU", "semantic_preservation", "mutual_information"]
        preserved = row["semantic_preservation"]
        assert (preserved is not None) == (row["method"] == "tiny")
        for scores in filter(None, (row, preserved)):
            assert set(scores["IoU"]) == set(content["classes"])
            values = [scores["mIoU"], scores["pixel_accuracy"], *scores["IoU"].values()]
            assert all(0 <= value <= 1 for value in values)
            assert scores["mIoU"] == pytest.approx(sum(scores["IoU"].values()) / 3)
    assert list(content["seconds"]) == [
        "training on source_only",
        "scoring",
        "training on oracle",
        "translation",
        "translating",
        "training on tiny",
        "content preservation",
    ]
    assert all(second >= 0 for second in content["seconds"].values())
    assert {"date", "versions", "device", "cores"} <= set(content["environment"])
    assert content["environment"]["versions"]["torch"] == importlib.metadata.version("torch")
    assert read_results(path / "results.json") == results


def test_a_class_that_never_occurs_is_null(plugins, source_only, tmp_path, session):
    for domain in ("source", "target"):
        source_only[domain]["classes"] = ["road", "sky", "tree", "unicorn"]
    source_only["downstream"] |= {"steps": 30, "lr": 0.03}
    results, _ = run(plugins, source_only, tmp_path / "run", session)
    for row in json.loads((tmp_path / "run" / "results.json").read_text())["rows"]:
        assert row["IoU"]["unicorn"] is None
        present = [value for value in row["IoU"].values() if value is not None]
        assert row["mIoU"] == pytest.approx(sum(present) / len(present))
    assert read_results(tmp_path / "run" / "results.json") == results


def test_a_recipe_without_a_generator_has_two_rows(plugins, source_only, tmp_path, session):
    results, _ = run(plugins, source_only | {"name": "source_only"}, tmp_path / "run", session)
    assert [(row.method, row.content_preservation) for row in results.rows] == [("source_only", None), ("oracle", None)]
    assert not (tmp_path / "run" / "translated").exists() and not (tmp_path / "run" / "samples").exists()


def test_the_recipe_as_run_is_kept_with_its_defaults(finished, tables):
    path, _, _ = finished
    assert read(path / "recipe.toml") == parse(tables, "r")
    assert "ema_decay = 0.0" in (path / "recipe.toml").read_text()


def test_log_lines_say_stage_step_and_values(finished):
    path, _, _ = finished
    lines = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [
        (stage, step)
        for stage in ("training on source_only", "training on oracle", "translation", "training on tiny")
        for step in (2, 4)
    ]
    assert "generator/tiny_cycle" in lines[4] and "loss" in lines[0]


def test_a_plugins_listener_hears_stages_values_images_and_the_end(tables, tmp_path, session):
    heard = []

    class Ear(Listener):
        def __init__(self, run_folder):
            self.folder = run_folder

        def begin(self, stage, total, done):
            heard.append(("begin", stage, total, done))

        def values(self, step, values):
            heard.append(("values", step, list(values)))

        def image(self, name, step, image):
            heard.append(("image", name, step, image.dtype))

        def end(self, results):
            heard.append(("end", results))

    class Listens:
        @hookimpl
        def daf_listener(self, run_folder, recipe):
            return Ear(run_folder) if recipe.name == "tiny" else None

    plugins = load_plugins(extra={"tiny": tiny, "ear": Listens()})
    with pytest.raises(StoppedError):
        run(plugins, tables, tmp_path / "run", session, stop_after=2)
    assert heard[-1] == ("end", None)
    heard.clear()
    run(plugins, tables, tmp_path / "run", session)
    assert heard[0] == ("begin", "training on source_only", 4, 2) and heard[1] == ("values", 4, ["loss"])
    assert [one[1:] for one in heard if one[0] == "image"] == [("samples", 4, torch.uint8)]
    written = json.loads((tmp_path / "run" / "results.json").read_text())
    assert heard[-1] == ("end", {key: value for key, value in written.items() if key != "digest"})
    assert [one[0] for one in heard].count("end") == 1


def test_translated_images_are_the_generators_and_labels_the_sources(finished, plugins, session):
    path, _, _ = finished
    recipe = read_recipe(RunFolder(path))
    generator = load_generator(session(), plugins, recipe, RunFolder(path))
    dataset = tiny.blocks(split="train")
    assert json.loads((path / "translated" / "index.json").read_text())["names"] == [f"train/{n}" for n in range(6)]
    for index in range(6):
        sample = dataset[index]
        file = f"{index:06d}_train_{index}.png"
        assert np.array_equal(read_label(path / "translated" / "labels" / file), sample.label)
        with torch.no_grad():
            expected = (generator(sample.image[None].float() / 127.5 - 1)[0] + 1) * 127.5
        found = torch.from_numpy(read_image(path / "translated" / "images" / file))
        assert (found - expected).abs().max() < 0.51


def test_the_average_translates_where_there_is_one(plugins, tables, tmp_path, session):
    tables["translation"]["ema_decay"] = 0.5
    run(plugins, tables, tmp_path / "run", session)
    checkpoint = torch.load(tmp_path / "run/checkpoints/translation.pt", weights_only=True)
    kept = torch.load(tmp_path / "run/checkpoints/generator.pt", weights_only=True)["generator"]
    for name, weight in kept.items():
        assert torch.equal(weight, checkpoint["average"][f"module.{name}"])
        assert not torch.equal(weight, checkpoint["generators"][f"generators.source_to_target.{name}"])


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_a_run_works_in_every_number_format(plugins, tables, tmp_path, session, precision):
    tables["hardware"]["precision"] = precision
    results, _ = run(plugins, tables, tmp_path / "run", session)
    assert len(results.rows) == 3


def test_images_of_many_sizes_are_resized_to_one(plugins, tables, tmp_path, session):
    tables["data"]["resize"] = [24, 36]
    run(plugins, tables, tmp_path / "run", session)
    for file in (tmp_path / "run/translated/images").iterdir():
        assert read_image(file).shape == (3, 24, 36)


# --- running again ---


def test_running_again_does_nothing_and_gives_the_same_results(finished, plugins, tables, session):
    path, results, _ = finished
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    again, recorder = run(plugins, tables, path, session)
    assert again == results and recorder.stages == []
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


STAGES = [
    ("training on source_only", 2),
    ("scoring source_only", 5),
    ("scoring source_only", 8),  # and its predictions without labels
    ("training on oracle", 12),
    ("scoring oracle", 14),
    ("translation", 19),
    ("translating", 22),
    ("training on tiny", 25),
    ("scoring tiny", 29),
    ("scoring tiny", 32),
    ("content preservation", 35),
]


@pytest.mark.parametrize("stage, stop_after", STAGES)
def test_a_run_stopped_in_any_stage_goes_on_to_the_same_results(
    finished, plugins, tables, tmp_path, session, stage, stop_after
):
    path = tmp_path / "run"
    with pytest.raises(StoppedError):
        _, recorder = run(plugins, tables, path, session, stop_after=stop_after)
    assert not (path / "results.json").exists()
    _, recorder = run(plugins, tables, path, session)
    assert comparable(path) == comparable(finished[0])
    every = [stage for stage, _, _ in finished[2].stages]
    assert [stage for stage, total, done in recorder.stages if done < total] == every[every.index(stage) :]


def test_a_run_killed_between_two_stages_goes_on(finished, plugins, tables, tmp_path, session):
    path = tmp_path / "run"
    with pytest.raises(StoppedError):
        run(plugins, tables, path, session, stop_after=23)  # somewhere in translating
    rest = path / ".translated.partial"
    (rest / "images").mkdir(parents=True)
    write_image(rest / "images" / "000000_left_over.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    run(plugins, tables, path, session)
    assert comparable(path) == comparable(finished[0]) and not rest.exists()


def test_a_finished_stage_is_not_computed_again(finished, plugins, tables, tmp_path, session):
    path = tmp_path / "run"
    with pytest.raises(StoppedError):
        run(plugins, tables, path, session, stop_after=25)
    done = [
        *(path / "translated").rglob("*.png"),
        *(path / "samples").iterdir(),
        *(path / "scores").iterdir(),
        *(path / "checkpoints" / f"{name}.pt" for name in ("source_only", "oracle", "translation", "generator")),
    ]
    before = [file.stat().st_mtime_ns for file in done]
    run(plugins, tables, path, session)
    assert len(done) == 12 + 1 + 4 + 4 and [file.stat().st_mtime_ns for file in done] == before


def test_another_seed_gives_another_run(finished, plugins, tables, tmp_path, session):
    tables["seed"] = 1
    run(plugins, tables, tmp_path / "run", session)
    one, two = comparable(finished[0]), comparable(tmp_path / "run")
    assert one["rows"] != two["rows"] and two["seed"] == 1


def test_when_to_log_and_where_to_load_changes_no_result(finished, plugins, tables, tmp_path, session):
    tables["log"] = {"every": 1, "samples_every": 1, "checkpoint_every": 1}
    tables["hardware"] |= {"workers": 1, "cache_mb": 0}
    run(plugins, tables, tmp_path / "run", session)
    assert comparable(tmp_path / "run") == comparable(finished[0])


# --- whose folder it is ---


def changed(tables, path, value):
    tables = copy.deepcopy(tables)
    *parents, last = path.split(".")
    place = tables
    for step in parents:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    place[last] = value
    return parse(tables, "r")


@pytest.mark.parametrize(
    "path, value, says",
    [
        ("translation.steps", 9, "translation.steps was 4, now 9"),
        ("losses.1.weight", 3.5, "losses.tiny_cycle.weight was 10.0, now 3.5"),
        ("generator.channels", 8, "generator.channels was not set, now 8"),
        ("data.crop_size", [16, 16], r"data.crop_size was \[16, 24\], now \[16, 16\]"),
        ("seed", 3, "seed was 0, now 3"),
        ("downstream.augment.hue", 0.1, "downstream.augment.hue was 0.0, now 0.1"),
        ("losses", [{"name": "tiny_cycle", "weight": 10.0}, {"name": "least_squares"}], "the order of its losses"),
        ("task.options", {}, "task.options was not set, now {}"),
    ],
)
def test_another_recipe_is_refused_by_the_key_that_differs(tables, tmp_path, path, value, says):
    open_folder(tmp_path / "run", parse(tables, "r"))
    with pytest.raises(
        RunError, match=rf"run holds a run of another recipe \({says}\); give another with --out, or delete it"
    ):
        open_folder(tmp_path / "run", changed(tables, path, value))


@pytest.mark.parametrize(
    "path, value",
    [
        ("log", {"every": 1, "checkpoint_every": 7}),
        ("hardware.workers", 3),
        ("hardware.cache_mb", 0),
        ("hardware.accelerator", "auto"),
    ],
)
def test_what_changes_no_result_may_differ(tables, tmp_path, path, value):
    open_folder(tmp_path / "run", parse(tables, "r"))
    open_folder(tmp_path / "run", changed(tables, path, value))


def test_a_folder_that_holds_something_else_is_refused(recipe, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="is not empty and holds no run; give another folder with --out"):
        open_folder(tmp_path, recipe)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match=r"thesis\.tex is a file; give a folder with --out"):
        open_folder(tmp_path / "thesis.tex", recipe)
    with pytest.raises(RunError, match=r"recipe\.toml cannot be written: "):
        open_folder(tmp_path / "thesis.tex" / "run", recipe)


def test_an_empty_folder_is_as_good_as_none(recipe, tmp_path):
    assert open_folder(tmp_path, recipe).recipe.exists()


def test_a_run_of_before_goes_on_though_its_recipe_holds_a_key_that_is_gone(recipe, tmp_path):
    path = open_folder(tmp_path, recipe).recipe
    path.write_text(path.read_text().replace("[hardware]", '[hardware]\nside_by_side = "auto"'))
    assert "side_by_side" in path.read_text() and open_folder(tmp_path, recipe).recipe == path


@pytest.mark.parametrize("content", ["name = ", "seed = 1", "\x00"])
def test_a_damaged_recipe_in_a_folder_is_named(recipe, tmp_path, content):
    (tmp_path / "recipe.toml").write_text(content)
    with pytest.raises(RunError, match=r"recipe\.toml is damaged: .*") as caught:
        open_folder(tmp_path, recipe)
    assert len(str(caught.value).splitlines()) == 1


def test_a_folder_without_a_run_holds_no_generator(recipe, plugins, tmp_path, session):
    with pytest.raises(RunError, match=r"holds no run: recipe\.toml cannot be read"):
        read_recipe(RunFolder(tmp_path))
    with pytest.raises(RunError, match="holds no trained generator; has its translation finished"):
        load_generator(session(), plugins, recipe, RunFolder(tmp_path))


# --- what goes wrong ---


def test_a_translated_set_that_was_changed_is_named(finished, plugins, tables, tmp_path, session):
    path = tmp_path / "run"
    with pytest.raises(StoppedError):
        run(plugins, tables, path, session, stop_after=25)
    (path / "translated" / "images" / "000003_train_3.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"000003_train_3\.png: the file is empty"):
        run(plugins, tables, path, session)
    (path / "translated" / "index.json").write_text("{")
    with pytest.raises(DataError, match=r"translated: not a translated set .*; delete the folder to translate again"):
        run(plugins, tables, path, session)


def test_a_device_that_is_not_there_is_a_problem_of_the_recipe(tables):
    tables["hardware"]["accelerator"] = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(RecipeError, match=r"^hardware: .*can not run on your system"):
        make_fabric(parse(tables, "r"), SINGLE)


def test_data_that_is_missing_is_an_error_when_it_is_needed(plugins, tables, tmp_path, session):
    class Gone:
        @hookimpl
        def daf_datasets(self):
            return {"gone": gone}

    tables["target"] = {"name": "gone"}
    with pytest.raises(DataError, match="/data: no such folder"):
        run(load_plugins(extra={"tiny": tiny, "gone": Gone()}), tables, tmp_path / "run", session)


def gone(*, split: str):
    raise DataError("/data: no such folder; download it")


class Measuring(Generator):
    """Needs no training: shifts by the difference of the domains' means."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(3, 1, 1))

    def forward(self, image):
        return (image + self.shift).clamp(-1, 1)

    def prepare(self, source, target):
        assert source[0].label is None or target[0].label is None
        assert target[0].label is None or source[0].label is None
        mean = [
            torch.stack([dataset[index].image.float().mean((1, 2)) for index in range(len(dataset))]).mean(0)
            for dataset in (source, target)
        ]
        self.shift.copy_(((mean[1] - mean[0]) / 127.5).view(3, 1, 1))


class Offers:
    @hookimpl
    def daf_generators(self):
        return {"measuring": Measuring}


def test_a_generator_that_only_measures_the_domains_translates_without_a_step(tables, tmp_path, session):
    for key in ("discriminator", "losses"):
        del tables[key]
    tables["generator"], tables["translation"] = {"name": "measuring"}, {"steps": 0}
    path = tmp_path / "run"
    run(load_plugins(extra={"tiny": tiny, "offers": Offers()}), tables, path, session)
    shift = torch.load(path / "checkpoints" / "generator.pt", weights_only=True)["generator"]["shift"]
    assert (shift < -0.3).all()
    grid = read_image(path / "samples" / "step_000000.png")
    assert grid.shape == (3, 4 * 32 + 3 * 2, 4 * 48 + 3 * 2)
    fake = read_image(path / "translated" / "images" / "000000_train_0.png")
    assert np.array_equal(grid[:, :32, 50:98], fake)


# --- results files ---

DAMAGES = {
    "nothing": "",
    "half": '{"recipe": "a", "se',
    "a list": "[]",
    "no rows": '{"recipe": "a", "seed": 0, "classes": [], "seconds": {}, "environment": {}}',
    "rows are no list": '{"recipe": "a", "seed": 0, "classes": [], "rows": 3, "seconds": {}, "environment": {}}',
    "a row without scores": '{"recipe": "a", "seed": 0, "classes": ["x"], "rows": [{"method": "m"}]}',
    "bytes": "\udcff",
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_results_are_named(tmp_path, content):
    (tmp_path / "results.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunError, match=r"results\.json: not a results file \(.*\); run its recipe again"):
        read_results(tmp_path / "results.json")


def test_missing_results_are_named(tmp_path):
    with pytest.raises(RunError, match=r"results\.json: cannot be read: No such file .*; has the run finished\?"):
        read_results(tmp_path / "results.json")


def test_results_are_read_as_they_were_written(tmp_path):
    from daframework.fingerprint import digest
    from daframework.interfaces import Scores

    scores = Scores(0.25, 0.75, (0.5, None))
    rows = (Row("a", scores, Scores(None, None, (None, None))),)
    results = Results("a", 3, ("x", "[y]"), rows, {"s": 1.5}, {"k": [1]}, {"source": 7})
    path = tmp_path / "results.json"
    write_results(path, results)
    assert read_results(path) == results
    content = json.loads(path.read_text())
    del content["metrics"], content["note"]  # all were of a segmentation, before a task could say
    of_before = {key: value for key, value in content.items() if key not in ("seconds", "environment", "digest")}
    path.write_text(json.dumps(content | {"digest": digest(of_before)}))
    assert read_results(path) == results
    del content["images"], content["digest"]  # which the first versions did not write either
    path.write_text(json.dumps(content))
    assert read_results(path) == attrs.evolve(results, images={})
    with pytest.raises(RunError, match="cannot be written"):
        write_results(tmp_path / "results.json" / "x", results)
