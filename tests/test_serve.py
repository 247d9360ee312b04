# ruff: noqa: F401, F811
"""`daf serve`: the real command, driven in a browser and by requests that no browser would send."""

import base64
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import meters
import numpy as np
import pytest
import tiny
import torch
from anyio.from_thread import start_blocking_portal
from attrs import asdict, evolve
from browser import barriers, browser, open_page
from conftest import BOUND, TABLES, install, refused, search_path
from image_files import picture
from PIL import Image
from playwright.sync_api import expect

from daf_report import report_file
from daf_serve import upload
from daf_serve.desk import Models
from daf_serve.upload import decode
from daframework.api import Run
from daframework.data.decode import write_image
from daframework.data.png import SIGNATURE, _chunk
from daframework.errors import DataError, RunError
from daframework.recipes.read import parse
from daframework.registry import load_plugins
from daframework.runs.begin import begin
from daframework.storage import checkpoint
from daframework.storage.results import write_results

MARKUP = "<img src=x onerror=alert(1)>"
STALE = [f"{name}: seed 0: stale: made by commit 1 of daframework" for name in ("cut", "unet")]
LINE = {"stage": "translation", "generator/gan": 1.5}


def log(folder, *steps, **values):
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(LINE | {"step": step} | values) + "\n" for step in steps)


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def shown(tmp_path_factory, plugins):
    """A folder of runs: one finished, and others made of its files."""
    base = tmp_path_factory.mktemp("serve")
    root = base / "runs"
    recipe = parse(TABLES, "tiny.toml")
    folder, results = begin(plugins, recipe, "tiny.toml", root / "tiny" / "seed0", lambda *_: ())
    finished = folder.path
    for name in ("begun", "going", "broken", MARKUP, "leads"):
        (root / name).mkdir()
        shutil.copy(folder.recipe, root / name)
    held = {"process": os.getpid(), "machine": socket.gethostname(), "since": "now"}
    (root / "going" / ".lock_holder.json").write_text(json.dumps(held))
    log(root / "going", 2)
    (root / "broken" / "recipe.toml").write_text("name = [")
    write_results(root / MARKUP / "results.json", evolve(results, classes=("<script>alert(1)</script>", "b", "c")))
    shutil.copytree(finished, base / "outside")
    (root / "link").symlink_to(base / "outside")
    (root / "leads" / "samples").symlink_to(base / "outside" / "samples")
    shutil.copytree(finished, root / "other")
    text = (root / "other" / "recipe.toml").read_text()
    (root / "other" / "recipe.toml").write_text(text.partition("\n")[2].replace("seed = 0", "seed = 1"))
    (root / "suite" / "logs").mkdir(parents=True)
    row = {"method": MARKUP, "mIoU": {"mean": 0.5, "standard_deviation": None}, "to_source_only": -0.1, "minutes": 1.0}
    row |= {"to_baseline": 0.05, "to_baseline_interval": [0.02, 0.07], "verdict": "better"}
    tables = {
        "tables": [{"task": "unet", "baseline": "cut", "rows": [row | {"seeds": [{}]}], "notes": ["one seed", *STALE]}]
    }
    (root / "suite" / "table.json").write_text(json.dumps(tables))
    return SimpleNamespace(
        base=base, root=root, run=Run(folder, plugins, recipe), results=results, before=tree(root / "tiny")
    )


@pytest.fixture(scope="module")
def server(shown):
    """`daf serve` in the folder of runs: its process, and its address."""
    install(shown.base / "site", "daf-tiny", "1.2", {"tiny": "tiny", "meters": "meters"})
    path = search_path(shown.base / "site")
    command = [sys.executable, "-m", "daframework", "serve", str(shown.root), "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, **pipes)
    try:
        line = process.stdout.readline()
        assert line.endswith("/ (Ctrl-C ends it)\n"), process.stderr.read()
        yield process, line.split(" at ")[1].split("/ ")[0]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def url(server):
    return server[1]


def ask(url, path, method="GET", body=None, **headers):
    """Status, headers and text of an answer; ``Host`` and others as given."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=BOUND)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode(errors="replace")


def as_file(array, form="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, form, **options)
    return file.getvalue()


def drop(page, content, name="a.png"):
    """Drop a file into the page, as from another window."""
    moved = page.evaluate_handle(
        """([content, name]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const moved = new DataTransfer();
            moved.items.add(new File([bytes], name));
            return moved;
        }""",
        [base64.b64encode(content).decode(), name],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": moved})


def image_in(page, selector):
    address = page.locator(selector).get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))


# --- pages ---


def test_the_list_says_of_every_run_and_bench_how_far_it_is(url, shown, open_page):
    page = open_page(url)
    said = {one.locator("small").first.inner_text(): one.inner_text() for one in page.locator("#runs tbody tr").all()}
    states = {"tiny/seed0": "finished", "going": "running", "begun": "unfinished", "broken": "damaged"}
    assert all(state in said[name] for name, state in states.items()) and next(iter(said)) == "going"
    assert f"{100 * shown.results.rows[1].scores.primary:.1f}" in said["tiny/seed0"]
    assert f"process {os.getpid()} on" in said["going"] and "link" not in said
    assert "translation: step 2 of 4" in said["going"]
    assert "50.0" in page.locator(".card").inner_text()
    shutil.copytree(shown.root / "begun", shown.root / "later")  # and it is kept fresh
    page.get_by_text("later", exact=True).wait_for()


def test_runs_of_a_bench_stand_under_it_and_what_compares_two_stays_in_sight(url, shown, open_page):
    shutil.copytree(shown.root / "begun", shown.root / "suite" / "unet_b" / "cut" / "seed0")
    page = open_page(url)
    group = page.locator("#runs tbody", has=page.get_by_role("rowheader", name="bench suite"))
    assert group.locator("small", has_text="/").all_inner_texts() == ["suite/unet_b/cut/seed0"]
    assert "suite/<wbr>unet_<wbr>b/<wbr>cut/<wbr>seed0" in group.inner_html()
    page.set_viewport_size({"width": 1280, "height": 300})
    page.locator("#runs").evaluate("form => form.scrollIntoView()")
    expect(page.get_by_role("button", name="Compare two")).to_be_in_viewport()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", page.locator("td time").first.inner_text())
    shutil.rmtree(shown.root / "suite" / "unet_b")


def test_values_arrive_in_the_page_of_a_run_that_goes_on_and_then_its_scores(url, shown, open_page):
    page = open_page(f"{url}/run?at=going")
    page.get_by_text("2 of 4 steps").wait_for()
    log(shown.root / "going", 3, **{"generator/gan": float("nan")})
    log(shown.root / "going", 4, **{"generator/gan": 0.125, "generator/cycle": 7})
    page.get_by_text("4 of 4 steps").wait_for()
    curve = page.get_by_role("button", name="generator/gan")
    expect(curve).to_have_text("generator/gan0.125")
    page.get_by_label("step whose values are shown").press("Home")
    expect(curve).to_have_text("generator/gan1.5")
    curve.press("Enter")
    expect(curve).to_have_attribute("aria-pressed", "false")
    expect(page.locator("svg[role=img] path")).to_have_count(1)
    expect(page.locator("#state")).to_have_text("running")
    stage = {"stage": "scoring source_only", "step": 1, "total": 3}  # which logs nothing
    (shown.root / "going" / ".progress.json").write_text(json.dumps(stage))
    page.locator("#stages li", has_text="scoring source_only").get_by_text("1 of 3 steps").wait_for()
    assert "scoring source_only: step 1 of 3" in ask(url, "/")[2]
    shutil.copy(shown.root / "tiny" / "seed0" / "results.json", shown.root / "going")
    page.get_by_role("region", name="scores").wait_for()
    expect(page.locator("#state")).to_have_text("finished")


def test_sample_sheets_are_scrubbed_by_step(url, shown, open_page):
    sheet = shown.root / "begun" / "samples" / "step_000002.png"
    for step in (2, 40):
        write_image(sheet.with_name(f"step_{step:06d}.png"), np_image(step))
    page = open_page(f"{url}/run?at=begun")
    expect(page.locator("#samples output")).to_have_text("40")
    page.get_by_label("step of the samples").press("Home")
    expect(page.locator("#samples img")).to_have_attribute("src", re.compile("step=2$"))


def np_image(value):
    import torch

    return torch.full((3, 8, 8), value, dtype=torch.uint8)


def test_two_runs_are_compared(url, shown, open_page):
    page = open_page(url)
    button = page.get_by_role("button", name="Compare two")
    expect(button).to_be_disabled()
    for name in ("tiny/seed0", "other"):
        page.get_by_label(f"compare {name}", exact=True).check()
    button.click()
    expect(page.locator(".keys tbody tr").locator("th, td")).to_have_text(["seed", "1", "0"])
    row = page.locator("tr", has=page.get_by_role("rowheader", name="mIoU", exact=True)).inner_text()
    assert row.split("\t")[1:] == [f"{100 * shown.results.rows[1].scores.primary:.1f}"] * 2 + ["+0.0"]
    page.locator("svg[role=img] path.s1").wait_for()
    page.locator("#value").select_option("training on its own row: loss")
    expect(page.locator(".sheet img")).to_have_count(2)
    assert ask(url, "/compare?at=tiny/seed0")[0] == 400


@pytest.mark.parametrize("width, dark", [(1280, False), (390, True)])
def test_every_page_is_read_by_everybody_and_fits(url, open_page, width, dark):
    page = open_page(url, width=width, dark=dark)
    for path in ("/", "/run?at=tiny/seed0", "/bench?at=suite", "/compare?at=tiny/seed0&at=other", "/try?at=other"):
        page.goto(url + path)
        page.locator("h1").first.wait_for()
        assert barriers(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_markup_in_names_is_text(url, open_page):
    page = open_page(f"{url}/bench?at=suite")
    assert page.get_by_role("rowheader", name=MARKUP).is_visible()
    assert page.get_by_text("+5.0 [+2.0, +7.0] better").is_visible()
    assert page.get_by_text("one seed").is_visible() and page.get_by_text(STALE[1]).is_hidden()
    page.get_by_text("Made by another commit (2)").click()
    assert page.get_by_text(STALE[0]).is_visible() and page.get_by_text(STALE[1]).is_visible()
    page.goto(url)
    page.locator("tr", has_text=MARKUP).get_by_role("link").first.click()
    expect(page.get_by_role("columnheader", name="IoU of <script>alert(1)</script>")).to_have_count(1)
    page.goto(f"{url}/try?at={MARKUP}")
    drop(page, b"no image")
    page.get_by_text("this is not an image").wait_for()


# --- another task ---


@pytest.fixture(scope="module")
def ranged(shown):
    """A run of a task that is not segmentation, and a bench that says it has one, in the folder shown."""
    tables = {"source": {"name": "lit", "classes": True}, "target": {"name": "lit", "classes": True, "look": "dark"}}
    recipe = parse(TABLES | tables | {"name": "far", "task": {"name": "ranging"}}, "far.toml")
    plugins = load_plugins(extra={"tiny": tiny, "meters": meters})
    folder, results = begin(plugins, recipe, "far.toml", shown.root / "ranged" / "far", lambda *_: ())
    rows = [
        {"method": method, results.metrics[0].name: {"mean": value, "standard_deviation": 0.25}, "seeds": [{}]}
        | {"to_source_only": -0.1, "minutes": 1.0, "to_baseline": -0.05, "to_baseline_interval": None}
        for method, value in (("near", 1.5), ("none", None), ("farther", 2.5))
    ]
    table = {"task": "far", "baseline": "cut", "rows": rows, "notes": [], "metrics": [asdict(results.metrics[0])]}
    (shown.root / "ranged" / "bench").mkdir()
    (shown.root / "ranged" / "bench" / "table.json").write_text(json.dumps({"tables": [table]}))
    yield SimpleNamespace(run=Run(folder, plugins, recipe), scores=results.rows[1].scores)
    shutil.rmtree(shown.root / "ranged")


def row_of(page, name):
    return page.locator("tr", has=page.get_by_role("rowheader", name=name, exact=True)).inner_text().split("\t")


def test_runs_of_another_task_are_listed_and_compared_by_its_metric(url, ranged, open_page):
    page, own = open_page(url), f"{ranged.scores.primary:.3f}"
    assert page.get_by_role("columnheader", name="score").count() == 1
    said = {one.locator("small").first.inner_text(): one.inner_text() for one in page.locator("#runs tbody tr").all()}
    assert f"{own}\nabs error, m" in said["ranged/far"] and "mIoU, %" in said["tiny/seed0"]
    assert "mIoU" not in said["begun"] and "1.500 m abs error" in page.locator(".card", has_text="ranged").inner_text()
    assert "best: near" in page.locator(".card", has_text="ranged").inner_text()
    page.goto(f"{url}/run?at=ranged/far")
    heads = page.get_by_role("region", name="scores").locator("th[scope=col]").all_inner_texts()
    assert heads == ["row", "abs error, m", "within 2 m, %", "content preservation"]
    assert row_of(page, "far")[1] == own
    page.goto(f"{url}/bench?at=ranged/bench")
    assert page.get_by_role("columnheader", name="abs error, m").count() == 1
    assert row_of(page, "near")[1:4] == ["1.500 ± 0.250", "\N{MINUS SIGN}0.100", "\N{MINUS SIGN}0.050"]
    page.goto(f"{url}/compare?at=ranged/far&at=tiny/seed0")
    assert (
        row_of(page, "abs error, m")[1:] == [own, "\N{EN DASH}", "\N{EN DASH}"]
        and row_of(page, "mIoU, %")[1] == "\N{EN DASH}"
    )
    assert "rows that both have" not in page.locator("main").inner_text()


def test_an_image_is_tried_with_a_model_whose_labels_are_no_classes(url, ranged, open_page):
    page = open_page(f"{url}/try?at=ranged/far")
    assert page.get_by_text("predicted by the model of the row").is_visible()
    drop(page, as_file(array := picture(shape=(9, 13, 3))))
    page.locator("#made").wait_for()
    assert page.locator("#overlays figcaption").all_inner_texts() == [
        "distance of the image",
        "distance of the translation",
    ]
    assert page.locator("#strength").is_hidden()
    assert page.locator("#legend li").all_inner_texts() == ["0 m", "farthest"]
    seen = torch.stack([ranged.run.predict(one) for one in (array, ranged.run.translate(array))])
    drawn = ranged.run.task.label_type.render(seen, ()).permute(0, 2, 3, 1).numpy()
    for place in range(2):
        assert np.array_equal(image_in(page, f"#overlays img >> nth={place}"), drawn[place])
    expect(page.locator("#overlays img").first).to_have_css("opacity", "1")


# --- an image is tried ---


def test_an_image_that_is_dropped_is_translated_and_segmented(url, shown, open_page):
    page = open_page(f"{url}/try?at=tiny/seed0")
    drop(page, as_file(array := picture(shape=(9, 13, 3))))
    page.locator("#made").wait_for()
    assert np.array_equal(image_in(page, "#slider .before"), array)
    assert np.array_equal(image_in(page, "#slider .after"), shown.run.translate(array))
    palette = np.array(shown.run.palette)
    assert np.array_equal(image_in(page, ".colours >> nth=0"), palette[shown.run.predict(array)])
    assert "road" in page.locator("#legend").inner_text()
    page.locator("#split").press("End")
    assert page.locator("#slider .after").evaluate("image => image.style.clipPath") == "inset(0px 0px 0px 100%)"
    before = page.locator(".colours").first.get_attribute("src")
    page.locator("#row").select_option("oracle")  # sends the image again
    expect(page.locator(".colours").first).not_to_have_attribute("src", before)
    assert np.array_equal(image_in(page, ".colours >> nth=0"), palette[shown.run.predict(array, row="oracle")])
    page.set_input_files("#file", {"name": "b.png", "mimeType": "", "buffer": as_file(array[:, :7])})
    expect(page.locator("#slider .before")).to_have_js_property("naturalWidth", 7)


def test_a_file_that_cannot_be_taken_is_a_line_in_the_page(url, open_page):
    page = open_page(f"{url}/try?at=tiny/seed0")
    alert = page.get_by_role("alert")
    for content, line in (
        (b"just text", "this is not an image; drop a PNG"),
        (as_file(np.zeros((5000, 8000), np.uint8)), "this image holds 40.0 megapixels (8000 x 5000), more than the 24"),
        (as_file(picture())[:90], "this image is damaged"),
    ):
        drop(page, content)
        alert.filter(has_text=line).wait_for()
        assert len(alert.inner_text().splitlines()) == 1
        expect(page.locator("#made")).to_be_hidden()


def test_what_has_no_models_yet_says_so(url):
    said = ask(url, "/try?at=begun", "POST", as_file(picture()), Origin=url)
    assert "holds no trained generator" in json.loads(said[2])["error"]


def half_an_upload(url):
    """A request that has its head and a bit of its image sent, and the rest not yet."""
    connection = socket.create_connection(url.removeprefix("http://").split(":"), timeout=BOUND)
    host = url.removeprefix("http://")
    head = f"POST /try?at=tiny/seed0 HTTP/1.1\r\nHost: {host}\r\nOrigin: {url}\r\nContent-Length: 1000\r\n"
    connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
    return connection


@pytest.fixture
def long(shown):
    """A run whose models are at work from when ``long.begun()`` is over to ``long.end()``: its results are a pipe."""
    folder, kept = shown.root / "long", shown.root / "tiny" / "seed0" / "results.json"
    shutil.copytree(kept.parent, folder)
    pipe = folder / "results.json"
    pipe.unlink()
    os.mkfifo(pipe)
    opened = []

    def end():
        shutil.copy(kept, folder / "whole.json")
        (folder / "whole.json").replace(pipe)  # for who reads it once more
        with opened[0]:
            opened[0].write(kept.read_text())

    yield SimpleNamespace(begun=lambda: opened.append(pipe.open("w")), end=end)
    shutil.rmtree(folder)


def test_images_take_turns_and_each_is_told_how_many_are_before_it(url, long, open_page):
    pages = [open_page(f"{url}/try?at={name}") for name in ("tiny/seed0", "tiny/seed0")]
    array, last = picture(shape=(9, 13, 3)), picture(shape=(5, 7, 3))
    with ThreadPoolExecutor() as threads:
        first = threads.submit(ask, url, "/try?at=long", "POST", as_file(array), Origin=url)
        long.begun()
        for count, page in enumerate(pages, 1):
            drop(page, as_file(array))
            page.get_by_text(f"Waiting: {count} before yours").wait_for()
        more = [half_an_upload(url) for _ in range(2)]
        for connection in more:
            assert b"100 Continue" in connection.recv(100)  # it has its place
        status, _, text = ask(url, "/try?at=tiny/seed0", "POST", b"", Origin=url)
        assert status == 503 and json.loads(text)["error"] == "4 wait already; try again in a moment"
        for connection in more:  # a browser that goes away gives up its place
            connection.close()
        for again in (array, array, last):  # and so does a page that is given another image
            drop(pages[0], as_file(again))
            pages[0].get_by_text("Waiting: 2 before yours").wait_for()
        long.end()
        assert "pictures" in json.loads(first.result()[2])
    for page in pages:
        page.locator("#made").wait_for()
    assert image_in(pages[0], "#slider .before").shape == last.shape


def test_no_more_than_one_uploads_worth_is_taken(url):
    said = ask(url, "/try?at=tiny/seed0", "POST", Origin=url, Content_Length=str(upload.MOST_BYTES + 1))
    assert said[0] == 413 and "larger than 32 MiB" in said[2]
    with socket.create_connection(url.removeprefix("http://").split(":"), timeout=BOUND) as connection:
        host = url.removeprefix("http://")
        head = f"POST /try?at=tiny/seed0 HTTP/1.1\r\nHost: {host}\r\nOrigin: {url}\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(upload.MOST_BYTES // 2**20):
            connection.sendall(b"100000\r\n" + bytes(2**20) + b"\r\n")
        connection.sendall(b"1\r\n0\r\n")
        assert b"413" in connection.recv(2**12)  # before the end of what is sent


LEFT_IS_RED = np.zeros((4, 8, 3), np.uint8)
LEFT_IS_RED[:, :4, 0] = 255
EXIF = Image.Exif()
EXIF[0x0112] = 6  # the camera was turned: its left is the top


def test_a_run_that_was_made_anew_is_not_tried_with_what_was_there_before(shown, installed, tmp_path):
    shutil.copytree(shown.root / "tiny" / "seed0", tmp_path / "run")
    models, image = Models(), as_file(LEFT_IS_RED)
    first, again = (models.try_out(tmp_path / "run", io.BytesIO(image), None)["pictures"] for _ in range(2))
    path = tmp_path / "run" / "checkpoints" / "generator.pt"
    state = checkpoint.load(path, torch.device("cpu"))
    checkpoint.save(path, state | {"generator": {name: 0 * one for name, one in state["generator"].items()}})
    anew = models.try_out(tmp_path / "run", io.BytesIO(image), None)["pictures"]
    assert first == again and first[0] == anew[0] and first[1] != anew[1]


@pytest.mark.parametrize(
    "content, size, corner, note",
    [
        (as_file(LEFT_IS_RED, "JPEG", quality=100, subsampling=0, exif=EXIF), (4, 8), (254, 0, 0), None),
        (as_file(np.full((4, 6), 0x80FF, np.uint16)), (6, 4), (128, 128, 128), "16 bits"),
        (as_file(np.full((4, 6, 4), (9, 9, 9, 0), np.uint8)), (6, 4), (255, 255, 255), "transparent"),
        (as_file(np.zeros((2000, 4000), np.uint8), "JPEG"), (1024, 512), (0, 0, 0), "shrunk from 4000 x 2000"),
        (as_file(np.zeros((1, 1), np.uint8), "BMP"), (1, 1), (0, 0, 0), None),
    ],
    ids=["turned", "16 bits", "transparent", "large", "one pixel"],
)
def test_an_image_of_any_kind_is_brought_to_one(content, size, corner, note):
    image, notes = decode(io.BytesIO(content))
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", size, corner)
    assert len(notes) == (note is not None) and (note or "") in "".join(notes)


def test_16_bits_of_several_channels_are_told_too():
    header, size = struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0), 2 * (1 + 3 * 6)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(size))), (b"IEND", b"")]
    image, notes = decode(io.BytesIO(SIGNATURE + b"".join(_chunk(*one) for one in chunks)))
    assert image.size == (3, 2) and notes == ["its 16 bits a channel became 8"]
    with pytest.raises(DataError, match="far too many pixels, more than the 24 megapixels allowed here"):
        decode(
            io.BytesIO(
                SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + _chunk(b"IDAT", b"")
            )
        )


def test_an_image_of_other_colours_or_several_frames_is_taken_with_a_word(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].convert("CMYK").save(tmp_path / "a.jpg")
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    for name, note in (("a.jpg", "CMYK"), ("a.gif", "2 frames")):
        image, notes = decode(io.BytesIO((tmp_path / name).read_bytes()))
        assert image.getpixel((1, 1))[0] > 250 and note in notes[0], name
    with pytest.raises(DataError, match="decimal numbers"):
        decode(io.BytesIO(as_file(np.zeros((4, 4), np.float32), "TIFF")))


# --- who may ask for what ---


@pytest.mark.parametrize(
    "where",
    [
        "../outside",
        "..%2foutside",
        "%2e%2e/outside",
        "tiny/../../outside",
        "/etc",
        "link",
        "leads",
        "tiny",
        "",
        "a%00b",
    ],
)
@pytest.mark.parametrize("page", ["run?", "bench?", "report?", "events?", "sample?", "try?", "compare?at=other&"])
def test_nothing_outside_the_folder_is_shown(url, page, where):
    status, _, text = ask(url, f"/{page}at={where}&step=4")
    assert status == 404 and ("no run or bench" in text or "leads outside" in text)


@pytest.mark.parametrize(
    "path",
    ["/assets/../site.py", "/assets/..%2fsite.py", "/%2e%2e/", "//etc/passwd", "/tiny/seed0/recipe.toml", "/assets/"],
)
def test_no_file_is_served_by_its_path(url, path):
    assert ask(url, path)[0] == 404


@pytest.mark.parametrize(
    "method, headers",
    [
        ("GET", {"Host": "evil.example"}),
        ("GET", {"Host": "evil.example:8000"}),
        ("GET", {"Host": "127.0.0.1@evil.example"}),
        ("GET", {"Host": "192.0.2.7"}),
        ("GET", {"Origin": "http://evil.example"}),
        ("GET", {"Origin": "null"}),
        ("GET", {"Sec_Fetch_Site": "cross-site"}),
        ("POST", {}),
        ("POST", {"Origin": "http://evil.example"}),
        ("POST", {"Origin": "https://127.0.0.1"}),
    ],
)
def test_a_foreign_host_or_page_is_refused(url, method, headers):
    status, answered, text = ask(url, "/try?at=tiny/seed0", method, **headers)
    assert status == 403 and text.startswith("refused: ")
    assert "Access-Control-Allow-Origin" not in answered


def test_every_answer_says_how_far_it_may_be_trusted(url):
    for path in ("/", "/nothing", "/assets/look.css", "/sample?at=tiny/seed0&step=4"):
        _, headers, _ = ask(url, path)
        assert headers["X-Content-Type-Options"] == "nosniff" and "Set-Cookie" not in headers
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["Content-Security-Policy"]
    assert ask(url, "/", "POST", Origin=url)[0] == 405


# --- reports ---


@pytest.fixture
def client(shown):
    from starlette.testclient import TestClient

    from daf_serve.doorman import names_of
    from daf_serve.site import make_site

    client = TestClient(make_site(shown.root, names_of("127.0.0.1", loopback=True)), base_url="http://localhost")
    with start_blocking_portal() as client.portal:  # one loop for all requests, as a server has
        yield client


SANDBOX = "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'"


def test_the_browser_comes_back_for_a_report_that_is_being_made(url, open_page):
    page = open_page(f"{url}/report?at=other")
    page.get_by_role("heading", name="tiny").wait_for()
    # Not the page that says so, which is gone before anybody sees it where a report is made quickly.
    assert page.evaluate("performance.getEntriesByType('navigation')[0].type") == "reload"


def test_reports_are_made_once_while_other_pages_answer(client, shown, monkeypatch):
    folder, go_on, made = shown.root / "reported", threading.Event(), []
    shutil.copytree(shown.root / "begun", folder)

    def html(path):
        made.append(path)
        assert go_on.wait(BOUND)
        log(path, 2)  # a run that goes on: its page is never as new as its log
        return "<script>1</script>"

    monkeypatch.setattr(report_file, "html", html)
    monkeypatch.setattr("daf_serve.reports._SECONDS", BOUND)
    asked = [client.get("/report?at=reported") for _ in range(50)]
    assert {one.status_code for one in asked} == {202} and "is being made" in asked[0].text
    assert "reported" in client.get("/").text
    go_on.set()
    answer = next(one for _ in iter(int, 1) if (one := client.get("/report?at=reported")).status_code != 202)
    assert answer.text == "<script>1</script>" and made == [folder]
    assert answer.headers["Content-Security-Policy"].startswith(SANDBOX)
    (folder / "report.html").write_text(f"<html>{report_file._OURS}the run's own")
    answer = client.get("/report?at=reported")
    assert answer.text.endswith("the run's own") and answer.headers["Content-Security-Policy"].startswith(SANDBOX)
    (folder / "report.html").write_text("somebody else's")
    assert client.get("/report?at=reported").text == "<script>1</script>"
    shutil.rmtree(folder)


def test_a_report_that_cannot_be_made_says_why(client, shown, monkeypatch):
    def html(path):
        raise RunError("no room")

    monkeypatch.setattr(report_file, "html", html)
    answer = next(one for _ in iter(int, 1) if (one := client.get("/report?at=begun")).status_code != 202)
    assert answer.status_code == 404 and "no room" in answer.text


def test_without_reports_the_page_says_which_extra_brings_them(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "daf_report.report_file", None)
    assert "pip install &#39;daframework[report]&#39;" in client.get("/report?at=tiny/seed0").text


# --- the command ---


def test_what_it_cannot_listen_at_or_show_is_a_line(daf, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(daf("serve", "--port", port), rf"cannot listen at port {port} of 127\.0\.0\.1 \(Address already in use")
    refused(daf("serve", "--host", "192.0.2.7"), r"cannot listen at port 8000 of 192\.0\.2\.7 \(.*\); give another")
    refused(daf("serve", "nowhere"), "nowhere: no such folder")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    refused(daf("serve"), r"daf serve needs a library \(.*uvicorn.*\); install it .* 'daframework\[serve\]'")


def test_whoever_listens_for_others_is_warned(daf, monkeypatch):
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: None)
    code, out, errors = daf("serve", "--host", "0.0.0.0", "--port", "0")
    assert code == 0 and "at http://0.0.0.0:" in out
    said = "whoever can reach 0.0.0.0 sees these runs and may use their models: there is no password"
    assert errors == f"warning: {said}\n"
    assert daf("serve", "--port", "0")[2] == ""


def test_ctrl_c_ends_it_at_once_while_a_page_follows_a_run_and_another_waits_and_nothing_was_written(server, shown):
    process, url = server
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=BOUND)
    connection.request("GET", "/events?at=begun")
    assert connection.getresponse().readline() == b"event: restart\n"
    busy = half_an_upload(url)
    assert b"100 Continue" in busy.recv(100)
    process.send_signal(signal.SIGINT)
    assert (process.wait(BOUND), process.stderr.read()) == (130, "stopped\n")
    assert tree(shown.root / "tiny") == shown.before
