"""report.html of runs and benches: what it holds, how it is used by mouse and key, and that nothing breaks it."""

# ruff: noqa: F401, F811 (fixtures of another file)
import json
import shutil
import sys

import pytest
import torch
from attrs import evolve
from browser import barriers, browser, open_page
from conftest import TABLES, install, refused
from tiny import PALETTE
from tiny_suite import TRANSLATION, finish, plan_of, undrawn

import daframework as daf
from daf_report import page, report_file, run_images, run_statistics, words
from daf_report.dots import dots, tick_step
from daf_report.embedded import class_map, photo
from daf_report.report_file import write
from daf_report.run_images import _columns
from daframework.errors import DataError, RunError
from daframework.recipes.read import parse
from daframework.registry import load_plugins
from daframework.report.summary import gather, results_grid
from daframework.report.table import over_seeds
from daframework.scores import PERCENT, SEGMENTATION, Metric, MetricValues, Scores
from daframework.storage.files import append_line
from daframework.storage.results import read_results, write_results
from daframework.suites.bench import compare

HOSTILE = "<script>alert(1)</script>"
NAME = "tiny"
CLASSES = [HOSTILE, "sky & co, which has a rather long name of its own", "tree"]
RANGED = TABLES | {
    "source": {"name": "lit", "classes": True},
    "target": {"name": "lit", "classes": True, "look": "dark"},
    "task": {"name": "ranging"},
    "downstream": {"steps": 16, "batch_size": 2, "lr": 0.1},
}


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory):
    """The tiny parts, installed, and reports, with few draws for their intervals."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "daf-tiny", "1.2", {"tiny": "tiny", "meters": "meters"})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.delenv("DAF_BLOCK")
        patch.setattr(run_statistics, "REPETITIONS", 200)
        undrawn(patch)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with hostile names and enough test images for an interval."""
    tables = TABLES | {
        "name": NAME,
        "source": {"name": "blocks", "look": "bright", "classes": CLASSES},
        "target": {"name": "blocks", "look": "dark", "classes": CLASSES, "images": 20},
        "downstream": {"steps": 16, "batch_size": 2, "lr": 0.1},
        "log": {"every": 1, "checkpoint_every": 2, "samples_every": 1},
    }
    folder = tmp_path_factory.mktemp("runs") / "run"
    daf.run(parse(tables, "hostile"), folder)
    return folder


@pytest.fixture(scope="module")
def bench(tmp_path_factory, module_session):
    """A bench of two methods, of which all runs are finished."""
    plugins = load_plugins()
    plan = plan_of(plugins, tmp_path_factory.mktemp("bench"), tasks=[{"label": "narrow", "name": "pixels"}])
    for cell in plan.cells:
        finish(plugins, plan, cell, module_session)
    write(plan.cell("narrow", "one", 0).folder.path)
    return compare(plugins, plan, {})


@pytest.fixture(scope="module")
def ranged(tmp_path_factory):
    """A finished run of a task that is not segmentation, on data that has classes too."""
    folder = tmp_path_factory.mktemp("ranged") / "run"
    daf.run(parse(RANGED, "ranged"), folder)
    return folder


@pytest.fixture(scope="module")
def ranged_bench(tmp_path_factory, module_session):
    """A bench of that task."""
    plugins, files = load_plugins(), {"one.toml": RANGED | {"name": "one"}}
    tasks = [{"label": "far", "name": "ranging"}]
    plan = plan_of(plugins, tmp_path_factory.mktemp("far"), files, target=RANGED["target"], tasks=tasks)
    for cell in plan.cells:
        finish(plugins, plan, cell, module_session)
    return compare(plugins, plan, {})


@pytest.fixture
def copied(finished, tmp_path):
    """The finished run, to do something to."""
    return shutil.copytree(finished, tmp_path / "run")


def address(folder):
    return (folder / "report.html").as_uri()


# --- runs ---


def test_a_run_leaves_a_report_with_what_the_terminal_shows(finished, open_page):
    shown = open_page(address(finished))
    grid = results_grid(gather([finished]))
    for row in grid.rows:
        cells = shown.locator("#summary tbody tr", has=shown.locator("th", has_text=row[0])).locator("th, td")
        assert [row[0], row[1], *row[2:]] == [cells.all_inner_texts()[place] for place in (0, 1, 4, 5, 6)]
    texts = shown.locator("#summary").inner_text()
    assert "95 % interval over test images" in texts and "mIoU on the target's test set" in texts
    for section in ("before-after", "steps", "predictions", "curves", "classes", "confusion", "preservation", "shares"):
        assert shown.locator(f"#{section} h2").is_visible(), section
    assert shown.locator("#overlay .panel:visible figcaption").all_inner_texts() == [
        "truth",
        "source_only",
        NAME,
        "oracle",
    ]
    assert shown.locator("img:not([alt])").count() == 0 and not shown.locator(".notices").count()
    assert (finished / "report.html").stat().st_size < 15_000_000


def test_names_that_are_markup_stay_text(finished, open_page):
    shown = open_page(address(finished))
    assert shown.locator("h1").inner_text() == NAME
    assert shown.locator("#classes tbody th").first.inner_text() == HOSTILE
    shown.locator("summary", has_text="Recipe as run").click()
    assert HOSTILE in shown.locator("pre").inner_text()
    assert HOSTILE not in (finished / "report.html").read_text(encoding="utf-8")


def test_before_and_after_move_by_mouse_by_key_and_by_touch(finished, open_page):
    shown = open_page(address(finished), touch=True)
    box = shown.locator(".compare:visible")

    def at(low, high):  # a tap becomes a click some time later
        read = "parseInt(box.style.getPropertyValue('--at'))"
        between = f"([box, low, high]) => {read} >= low && {read} <= high"
        shown.wait_for_function(between, arg=[box.element_handle(), low, high])

    at(50, 50)
    slider = box.locator("input")
    slider.press("ArrowRight")
    at(51, 51)
    size = slider.bounding_box()
    slider.click(position={"x": 0.25 * size["width"], "y": size["height"] / 2})
    at(20, 30)
    slider.tap(position={"x": 0.75 * size["width"], "y": size["height"] / 2})
    at(70, 80)
    assert box.locator(".before").evaluate("image => getComputedStyle(image).clipPath").startswith("inset(0")
    shown.locator("#before-after label").nth(1).click()
    assert shown.locator(".compare:visible").count() == 1
    assert shown.locator("#pair figcaption:visible").inner_text() == "train/1"


def test_a_table_is_sorted_by_click_and_by_key(finished, open_page):
    shown = open_page(address(finished))
    first = shown.locator("#summary tbody th").first.inner_text
    heading = shown.locator("#summary thead button", has_text="mIoU")
    heading.click()
    heading.press("Enter")
    rows = shown.locator("#summary tbody tr td:nth-child(2)").all_inner_texts()
    assert rows == sorted(rows, key=float) and len(rows) == 3
    assert shown.locator("#summary th[aria-sort=ascending]").count() == 1
    shown.locator("#summary thead button", has_text="content").click()
    assert first() == NAME  # the only row that has it; what is not there comes last


def test_the_samples_are_scrubbed_by_step(finished, open_page):
    shown = open_page(address(finished))
    slider, step = shown.locator(".scrub input"), shown.locator(".scrub output")
    picture = shown.locator(".frames img:visible")
    last = picture.get_attribute("src")
    assert (step.inner_text(), picture.count()) == ("4", 1)
    slider.press("ArrowLeft")
    assert (step.inner_text(), picture.count()) == ("3", 1) and picture.get_attribute("src") != last
    slider.press("Home")
    assert step.inner_text() == "1" and "after step 1" in picture.get_attribute("alt")


def test_overlays_fade_with_the_opacity(finished, open_page):
    shown = open_page(address(finished))
    layer = shown.locator("#overlay img:visible").first
    assert layer.evaluate("image => getComputedStyle(image).opacity") == "0.65"
    shown.locator(".opacity input").press("Home")
    assert layer.evaluate("image => getComputedStyle(image).opacity") == "0"
    assert shown.locator(".opacity output").inner_text() == "0 %"
    assert shown.locator("#predictions .legend li").all_inner_texts() == CLASSES


def test_pictures_of_one_image_are_enlarged_and_follow_one_another_in_place(finished, open_page):
    shown = open_page(address(finished), width=390)
    layers = shown.locator("#overlay .panel:visible figure")
    small, titles = layers.first.locator("img").bounding_box(), layers.locator("figcaption").all_inner_texts()
    layers.first.locator("img").click()
    viewer = shown.locator("#viewer")
    assert viewer.locator("img").bounding_box()["width"] > 1.5 * small["width"]
    seen = []
    for _ in titles:
        seen.append(viewer.locator("figcaption").inner_text())
        viewer.press("ArrowRight")
    assert seen == titles and viewer.locator("figcaption").inner_text() == titles[0]
    viewer.get_by_role("button", name="previous").click()
    assert viewer.locator("figcaption").inner_text() == titles[-1]
    assert not barriers(shown)
    shown.keyboard.press("Escape")
    assert not viewer.is_visible()
    layers.nth(1).get_by_role("button").press("Enter")
    assert viewer.locator("figcaption").inner_text() == titles[1]
    viewer.get_by_role("button", name="close").click()
    assert not viewer.is_visible()


def test_curves_show_values_a_logarithmic_scale_and_smoothing(finished, open_page):
    shown = open_page(address(finished))
    chart = shown.locator(".chart").first
    logged = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    values = {one["step"]: one["generator/tiny_cycle"] for one in logged if one["stage"] == "translation"}
    told = chart.locator(".names button", has_text="generator/tiny_cycle")

    def read():
        return float(told.inner_text().split()[-1])

    assert read() == pytest.approx(values[4], rel=0.01)
    chart.locator("svg[role=img]").hover(position={"x": 50, "y": 20})
    assert chart.locator("output").inner_text() == "1" and read() == pytest.approx(values[1], rel=0.01)
    chart.locator("input").press("ArrowRight")
    assert read() == pytest.approx(values[2], rel=0.01)
    line = chart.locator("path").first.get_attribute("d")
    shown.locator("#log").check()
    assert chart.locator("path").first.get_attribute("d") != line
    shown.locator("#smooth").press("End")
    smoothed = (0.95 * 0.05 * values[1] + 0.05 * values[2]) / (0.95 * 0.05 + 0.05)
    assert read() == pytest.approx(smoothed, rel=0.01)
    lines = chart.locator("path").count()
    told.click()
    assert told.get_attribute("aria-pressed") == "false" and chart.locator("path").count() == lines - 1


def test_the_page_changes_between_light_and_dark(finished, open_page):
    shown = open_page(address(finished))
    colour = lambda: shown.evaluate("getComputedStyle(document.body).backgroundColor")  # noqa: E731
    light = colour()
    shown.locator("#theme").press("Enter")
    assert colour() != light and shown.evaluate("localStorage.getItem('daf-theme')") == "dark"
    shown.locator("#theme").click()
    assert colour() == light


@pytest.mark.parametrize("width, dark", [(1280, False), (390, True)])
def test_nobody_is_kept_out_and_a_narrow_screen_has_no_sideways_scroll(
    finished, bench, ranged, ranged_bench, open_page, width, dark
):
    for folder in (finished, bench.folder, ranged, ranged_bench.folder):
        shown = open_page(address(folder), width=width, dark=dark)
        assert barriers(shown) == []
        assert shown.evaluate("document.documentElement.scrollWidth") == width
        names = shown.locator("tbody th:visible").evaluate_all("found => found.map(one => one.offsetWidth)")
        assert max(names) < width / 2, "numbers have room beside names that are long"
        assert shown.evaluate(CUT) == []


CUT = """[
    ...[...document.querySelectorAll(".panel:not([hidden]) .confusion thead span")].filter(one =>
        one.getBoundingClientRect().top < one.closest(".scroll").getBoundingClientRect().top),
    ...[...document.querySelectorAll(".scroll")].filter(one => innerWidth > 999 && one.scrollWidth > one.clientWidth),
].map(one => one.outerHTML.slice(0, 80))"""


# --- another task ---


def test_a_run_of_another_task_is_told_in_its_metric_and_shows_its_labels_as_pictures(ranged, open_page):
    shown, rows = (
        open_page(address(ranged)),
        {row.method: row.scores for row in read_results(ranged / "results.json").rows},
    )
    low, own = (rows[name].primary for name in ("source_only", NAME))
    lead = shown.locator("#summary .lead").inner_text()
    assert f"{NAME} reaches {own:.3f} m abs error (lower is better)" in lead
    assert own < low and f"{low - own:.3f} m better than source_only ({low:.3f})" in lead
    cells = shown.locator("#summary tbody tr", has=shown.locator("th", has_text=NAME)).locator("td").all_inner_texts()
    assert (cells[0], cells[3]) == (f"{own:.3f}", f"{100 * rows[NAME].values['within_2_m']:.1f}")
    assert cells[1].startswith(f"{own - low:.3f} [-") and cells[1].endswith("better")
    sections = shown.locator("main > section").evaluate_all("found => found.map(one => one.id)")
    assert sections == ["summary", "before-after", "steps", "predictions", "curves", "recipe"]
    figures = shown.locator("#overlay .panel:visible figcaption").all_inner_texts()
    assert figures == ["image", "truth", "source_only", NAME, "oracle"]
    assert shown.locator(".opacity, .photo").count() == 0
    assert shown.locator("#predictions .legend li").all_inner_texts() == ["0 m", "farthest"]
    pictures = shown.locator("#overlay .panel:visible img")
    greys = [image.evaluate(MEAN) for image in pictures.all()]
    assert abs(greys[4] - greys[1]) < abs(greys[2] - greys[1]), "they are drawn in one scale, and the oracle is nearer"
    assert not shown.locator(".notices").count()


MEAN = """image => {
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    const values = pen.getImageData(0, 0, image.width, image.height).data;
    return values.reduce((sum, value) => sum + value, 0) / values.length;
}"""


def test_a_run_of_another_task_that_is_not_finished_is_read_by_its_tasks_metrics(ranged, tmp_path):
    folder = shutil.copytree(ranged, tmp_path / "run")
    (folder / "results.json").unlink()
    made = page(folder)
    assert "m abs error (lower is better)" in made and "is not finished" in made and 'id="confusion"' not in made


def test_data_without_classes_has_a_page(tmp_path):
    tables = {key: table for key, table in RANGED.items() if key not in TRANSLATION}
    tables |= {"source": {"name": "lit"}, "target": {"name": "lit", "look": "dark"}}
    daf.run(parse(tables, "bare"), tmp_path / "run")
    made = page(tmp_path / "run")
    assert "source_only reaches" in made and "test/0 as oracle has it" in made and 'class="notices"' not in made


def test_a_metric_with_parts_has_a_table_by_class_in_its_unit(ranged, tmp_path):
    folder = shutil.copytree(ranged, tmp_path / "run")
    results = read_results(folder / "results.json")
    metrics = (evolve(results.metrics[0], by_class="error"), results.metrics[1])
    rows = tuple(
        evolve(row, scores=MetricValues(row.scores.values, {"error": (7.0 + at, 2.0, None)}), content_preservation=None)
        for at, row in enumerate(results.rows)
    )
    write_results(folder / "results.json", evolve(results, metrics=metrics, rows=rows))
    made = page(folder)
    assert "<h2>error by class</h2>" in made and "error on the target&#39;s test set, m, seed 0" in made
    assert "road (+1.000) suffer most" in made and 'style="--heat' not in made and ">7.000</td>" in made


def test_a_bench_of_another_task_shows_differences_in_its_unit_and_which_way_is_better(ranged_bench, open_page):
    write(ranged_bench.folder)
    shown, (table,) = open_page(address(ranged_bench.folder)), ranged_bench.tables
    assert shown.locator("#table-1 h3").inner_text() == "Difference to one, abs error, m, lower is better"
    source_only = next(row for row in table.rows if row["method"] == "source_only")
    said = shown.locator("#table-1 .dotrow", has_text="source_only")
    assert said.locator("em").inner_text().startswith(f"+{source_only['to_baseline']:.3f} [+")
    assert "worse" in said.get_attribute("class") and source_only["verdict"] == "worse"
    ticks = [float(text) for text in shown.locator("#table-1 .axis b").all_inner_texts()]
    assert ticks[0] == 0 and source_only["to_baseline"] / 2 < ticks[-1] <= source_only["to_baseline_interval"][1]
    assert "best abs error first" in shown.locator("#images").inner_text()
    figures = shown.locator("#overlay .panel:visible figcaption").all_inner_texts()
    assert figures == ["image", "truth", *(row["method"] for row in table.rows)]
    assert [row["method"] for row in table.rows] == ["oracle", "one", "source_only"]


@pytest.mark.parametrize("span, step", [(0, 0.001), (0.004, 0.001), (0.11, 0.05), (2.5, 0.5), (2.6, 1), (37, 10)])
def test_an_axis_has_few_and_round_ticks(span, step):
    assert tick_step(span) == step


def test_a_dot_plot_is_in_the_metrics_unit():
    assert [text for _, text in dots(("a",), {"x": [0.3]}).ticks] == ["0", "10", "20", "30", "40"]
    plot = dots(("a", "b"), {"x": [3.0, None]}, RMSE)
    assert [text for _, text in plot.ticks] == ["0", "1", "2", "3", "4"] and plot.rows == (
        ("a", (75.0,)),
        ("b", (None,)),
    )


@pytest.mark.parametrize("directions, count, last", [(1, 2, "translated"), (2, 3, "translated back"), (1, 3, "label")])
def test_samples_of_images_without_classes_have_no_column_for_them(directions, count, last):
    both = ("source_to_target", "target_to_source")
    recipe = evolve(
        parse(TABLES, "r"), translation=evolve(parse(TABLES, "r").translation, directions=both[:directions])
    )
    one, gap = torch.zeros(3, 8, 10, dtype=torch.uint8), torch.full((3, 8, 2), 255, dtype=torch.uint8)
    assert _columns(torch.cat([one, *[gap, one] * (count - 1)], 2), recipe)[-1] == last


# --- whatever is there ---


def test_an_unfinished_run_says_so_and_shows_what_there_is(copied, open_page):
    (copied / "results.json").unlink()
    write(copied)
    shown = open_page(address(copied))
    assert "is not finished" in shown.locator(".notices").inner_text()
    assert shown.locator("#summary tbody tr").count() == 3  # of its rows' scores
    assert shown.locator(".chart").count() and shown.locator(".compare").count()
    (copied / "scores" / f"{NAME}.json").unlink()
    assert "source_only reaches" in page(copied) and "No row has scores yet" not in page(copied)
    shutil.rmtree(copied / "scores")
    shutil.rmtree(copied / "translated")
    assert "No row has scores yet" in page(copied)


@pytest.mark.parametrize(
    "file, says",
    [
        ("results.json", "results.json: not a results file"),
        ("recipe.toml", "is damaged"),
        ("seconds.json", "seconds.json: damaged"),
        ("environment.json", "the environment"),
        ("samples/step_000004.png", "samples of step 4"),
        ("translated/index.json", "not a translated set"),
        ("scores/oracle.pt", "oracle.pt"),
        ("checkpoints/oracle.pt", "predictions on target images"),
    ],
)
def test_what_is_damaged_is_named_and_the_rest_is_shown(copied, file, says):
    (copied / file).write_bytes(b"half a fi")
    made = page(copied)
    assert says in noticed(made)
    assert 'id="curves"' in made


def noticed(made):
    return made.partition('class="notices"')[2].partition("</section>")[0].replace("&#39;", "'")


def test_one_damaged_file_takes_nothing_else_away(copied):
    image = sorted((copied / "translated/images").iterdir())[0]
    for file in (image, copied / "scores/oracle.pt"):
        file.write_bytes(b"half a fi")
    made = page(copied)
    assert image.name in noticed(made) and noticed(made).count("oracle.pt") == 1
    assert made.count('class="compare"') == 5 and made.count('class="confusion heat"') == 2
    assert "95 % interval over test images" in made


def test_what_a_finished_run_has_lost_is_named(copied):
    shutil.rmtree(copied / "translated")
    shutil.rmtree(copied / "samples")
    assert "before and after: " in noticed(page(copied)) and "samples: " in noticed(page(copied))


def test_too_few_test_images_for_an_interval_are_told(finished, monkeypatch):
    monkeypatch.setattr(run_statistics, "MIN_IMAGES", 21)
    made = page(finished).partition("</section>")[0]
    assert made.count("Too few test images (20) for an interval; the difference may be chance.") == 2


def test_a_class_has_one_colour_in_reports_and_in_what_scripts_and_servers_show(finished, open_page):
    assert daf.open(finished).palette == list(PALETTE)
    found = open_page(address(finished)).locator("#predictions .legend i")
    colours = found.evaluate_all("all => all.map(one => one.style.background)")
    assert colours == [f"rgb{colour}" for colour in PALETTE]


def test_a_row_has_one_mark_and_long_options_are_no_facts(finished, open_page):
    shown = open_page(address(finished))
    marks = [
        shown.locator(f"#{section} .key li", has_text=row).locator("i").get_attribute("class")
        for section in ("classes", "preservation")
        for row in (NAME, "oracle")
    ]
    assert marks[:2] == marks[2:]
    facts = shown.locator(".facts").inner_text()
    assert HOSTILE not in facts and "blocks (look bright)" in facts


def test_a_logarithmic_scale_within_a_decade_has_round_numbers(copied, open_page):
    lines = ({"stage": "translation", "step": step, "loss": value} for step, value in ((1, 0.45), (2, 1.25)))
    (copied / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    write(copied)
    shown = open_page(address(copied))
    shown.locator("#log").check()
    assert shown.locator(".chart svg text").evaluate_all("all => all.map(one => one.textContent)")[:2] == ["0.5", "1"]


def test_a_log_with_half_a_line_and_numbers_that_are_none_is_drawn(copied, open_page):
    append_line(copied / "log.jsonl", '{"stage": "translation", "step": 5, "generator/tiny_cycle": NaN}')
    with (copied / "log.jsonl").open("a") as file:
        file.write('{"stage": "transl')
    write(copied)
    shown = open_page(address(copied))
    assert shown.locator(".chart").first.locator("output").inner_text() == "5"


def test_a_run_without_images_scores_or_data_has_a_report(copied, open_page):
    for name in ("samples", "translated", "scores", "checkpoints", "log.jsonl", "environment.json", "seconds.json"):
        path = copied / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    results = read_results(copied / "results.json")
    empty = Scores(None, None, (None,) * 3)
    rows = tuple(type(row)(row.method, empty) for row in results.rows)
    write_results(
        copied / "results.json", type(results)(results.recipe, results.seed, results.classes, rows, {}, {}, {})
    )
    write(copied)
    shown = open_page(address(copied))
    assert shown.locator("h1").inner_text() == NAME and "has no score" in shown.locator("#summary").inner_text()
    assert "predictions on target images" in shown.locator(".notices").inner_text()


def test_pictures_are_scaled_and_few_so_that_no_page_grows_without_end(copied):
    noise = torch.randint(256, (3, 900, 1400), dtype=torch.uint8)
    assert len(photo(noise, "noise", width=1280, most=50_000).src) < 70_000  # base64 takes 4 bytes for 3
    for most in (60_000, 9_000):
        assert len(class_map(noise[0] % 19, [(0, 0, 0)] * 19, "noise", most=most).src) < 1.4 * most
    for step in range(10, 100):
        shutil.copy(copied / "samples/step_000004.png", copied / f"samples/step_{step:06d}.png")
    assert page(copied).count("sample images after step") == 24


# --- in words ---


MIOU = SEGMENTATION[0]
RMSE = Metric("RMSE", "m", higher_is_better=False, by_class="error")
NEAR = Metric("near", PERCENT, higher_is_better=False)


def row(method, *values, metric=MIOU):
    differences = dict.fromkeys(("to_baseline_interval", "verdict", "few", "gap_closed"))
    free = {"mutual_information": over_seeds([])}
    return {"method": method, metric.name: over_seeds(values), "seeds": [*values]} | free | differences


BETTER = {"to_baseline_interval": [-1, -0.5], "verdict": "better"}
CLOSED = {"gap_closed": 0.29}
PICKED = {"mutual_information": over_seeds([0.2])}


@pytest.mark.parametrize(
    "sentence, expected",
    [
        (
            words.method_sentence(row("cut", 0.3, 0.4) | CLOSED, MIOU, {"source_only": 0.25, "oracle": 0.6}),
            "cut reaches 35.0 ± 7.1 mIoU on the target's test set (mean of 2 seeds), 10.0 points above source_only "
            "(25.0) and 25.0 points below the oracle (60.0): adaptation recovered 29 % of the gap.",
        ),
        (
            words.method_sentence(row("source_only", 0.2), MIOU, {"source_only": 0.2, "oracle": 0.5}),
            "source_only reaches 20.0 mIoU on the target's test set, 30.0 points below the oracle (50.0).",
        ),
        (
            words.preserved_sentence(MIOU, 0.4, MIOU, {"a": 0.5, "b": 0.0, "c": None}, {"a": 0.6, "b": 0.05, "c": 0.7}),
            "Content preservation, the oracle's mIoU on translated images, is 40.0; least kept: a (50.0); nothing can "
            "be said of b, which the oracle hardly knows in the target either (IoU below 10.0).",
        ),
        (
            words.pick_sentence([row("b", 0.35), row("a", 0.3) | PICKED], MIOU),
            "Without a label of the target, the column pick names a, 5.0 points below b in mIoU.",
        ),
        (
            words.seeds_sentence([row("a", 0.3)]),
            "Each method was trained with one seed: how far another would move these numbers is in no interval.",
        ),
        (words.seeds_sentence([row("a", 0.3), row("b", 0.3, 0.4)]), ""),
        (
            words.method_sentence(row("cut", 3, 4, metric=RMSE) | CLOSED, RMSE, {"source_only": 4.5, "oracle": 2}),
            "cut reaches 3.500 ± 0.707 m RMSE (lower is better) on the target's test set (mean of 2 seeds), 1.000 m "
            "better than source_only (4.500) and 1.500 m worse than the oracle (2.000): adaptation recovered 29 % of "
            "the gap.",
        ),
        (
            words.pick_sentence([row("b", 0.25, metric=NEAR), row("a", 0.3, metric=NEAR) | PICKED], NEAR),
            "Without a label of the target, the column pick names a, 5.0 points worse than b in near.",
        ),
        (
            words.interval_sentence(
                row("cut") | {"to_baseline_interval": [-1, -0.5], "verdict": "better"}, "base", RMSE
            ),
            "cut is better than base beyond the choice of test images (95 % interval over test images -1.000 to -0.500 "
            "m).",
        ),
        (
            words.interval_sentence(row("cut") | {"few": 6}, "base", MIOU),
            "Too few test images (6) for an interval; the difference may be chance.",
        ),
        (words.interval_sentence(row("cut"), "base", MIOU), None),
        (
            words.gains_sentence({"a": 2.0, "b": -0.5, "c": -1.0}, RMSE),
            "Class by class, against source_only: c (-1.000), b (-0.500) gain most; a (+2.000) suffer most.",
        ),
        (
            words.preserved_sentence(RMSE, 3.0, RMSE, {"a": 0.01, "b": 4.0, "c": None}, {"a": 0.01}),
            "Content preservation, the oracle's RMSE on translated images, is 3.000 m; least kept: b (4.000), a "
            "(0.010).",
        ),
        (words.difference_heading("cut", RMSE), "Difference to cut, RMSE, m, lower is better"),
        (words.difference_heading("cut", MIOU), "Difference to cut, points of mIoU"),
    ],
)
def test_words_say_what_the_numbers_hold_and_what_they_do_not(sentence, expected):
    assert sentence == expected


# --- writing it ---


def test_a_report_of_ours_is_written_anew_and_another_file_is_kept(copied, daf):
    (copied / "report.html").write_text("mine")
    refused(daf("html", copied), r"report\.html is there and no report of ours.*--overwrite")
    assert (copied / "report.html").read_text() == "mine"
    assert daf("html", copied, "--overwrite")[0] == 0 and daf("html", copied)[0] == 0
    assert "<h1>tiny</h1>" in (copied / "report.html").read_text()


def test_a_folder_without_a_run_or_bench_is_refused(tmp_path, daf):
    refused(daf("html", tmp_path), "holds neither a run nor a bench")
    assert not list(tmp_path.glob("*.html"))
    with pytest.raises(RunError, match="neither"):
        page(tmp_path / "nowhere")


def test_without_jinja_a_run_ends_as_ever_and_the_command_names_the_extra(copied, daf, monkeypatch):
    (copied / "report.html").unlink()
    report_file._templates.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, _, errors = daf("run", copied / "recipe.toml", "--out", copied)
    assert code == 0 and "warning" not in errors and not (copied / "report.html").exists()
    refused(daf("html", copied), r"needs Jinja2.*daframework\[report\]")


def test_the_same_command_again_leaves_the_report_of_a_finished_run(copied, daf):
    before = (copied / "report.html").stat().st_mtime_ns
    code, out, _ = daf("run", copied / "recipe.toml", "--out", copied)
    assert code == 0 and out.endswith(f"in {copied / 'report.html'}\n")
    assert (copied / "report.html").stat().st_mtime_ns == before


def test_who_stops_a_run_does_not_wait_for_a_report(copied):
    (copied / "report.html").unlink()
    report_file.ReportListener(copied).end(None)
    assert not (copied / "report.html").exists()


# --- benches ---


def test_a_bench_shows_its_tables_and_all_methods_on_the_same_images(bench, open_page):
    shown = open_page(address(bench.folder))
    (grid,) = bench.grids()
    rows = shown.locator("#table-1 table").first.locator("tbody tr")
    for place, row in enumerate(grid.rows):
        cells = [
            text.replace("▲ ", "").replace("▼ ", "") for text in rows.nth(place).locator("th, td").all_inner_texts()
        ]
        assert cells == list(row)
    by_miou = [row["method"] for row in bench.tables[0].rows]
    assert shown.locator("#image .panel:visible figcaption").all_inner_texts() == ["source", "one", "label"]
    assert shown.locator("#images .legend li").count() == 3
    assert shown.locator("#overlay .panel:visible figcaption").all_inner_texts() == ["truth", *by_miou]
    assert shown.locator("#table-1 .axis b", has_text="0").count()
    shown.locator("#images label").nth(2).click()
    assert shown.locator("#image .panel:visible").count() == 1
    assert shown.locator("#runs tbody tr").count() == 3
    link = shown.locator("#runs a").evaluate("link => link.href")
    assert open_page(link).locator("h1").inner_text() == "one"


def test_a_bench_whose_data_is_not_there_shows_what_lies_in_its_folder(bench, monkeypatch):
    def gone(*_):
        raise DataError("blocks: no folder given; write --set source.root=FOLDER, or set DAF_DATA")

    monkeypatch.setattr(run_images, "open_datasets", gone)
    monkeypatch.delenv("DAF_DATA", raising=False)
    made = page(bench.folder)
    assert "translated by one" in made and "source image train" not in made
    assert noticed(made).count("DAF_DATA") == 1 and "--set" not in noticed(made)


def test_a_bench_with_a_damaged_table_shows_its_runs(bench, tmp_path):
    folder = shutil.copytree(bench.folder, tmp_path / "bench")
    (folder / "table.json").write_text("{")
    made = page(folder)
    assert "no table that can be read" in made and "translated by one" in made and 'id="table-1"' not in made


def test_a_bench_of_an_earlier_version_has_its_table_and_one_of_another_layout_is_named(bench, tmp_path):
    folder = shutil.copytree(bench.folder, tmp_path / "bench")
    content = json.loads((folder / "table.json").read_text())
    for row in content["tables"][0]["rows"]:
        del row["mutual_information"]
    (folder / "table.json").write_text(json.dumps(content))
    assert 'id="table-1"' in page(folder) and 'class="notices"' not in page(folder)
    del content["tables"][0]["rows"][0]["mIoU"]
    (folder / "table.json").write_text(json.dumps(content))
    assert "table.json: KeyError" in page(folder) and 'id="runs"' in page(folder)
