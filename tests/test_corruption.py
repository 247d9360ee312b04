"""Damaged files give an error or the right result; the long form is ``python tests/torture/corruption.py``."""

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
from conftest import BOUND
from forked import Forked
from image_files import picture, write, write_deep, write_palette

from daframework.data.decode import read_image, read_label
from daframework.data.label_files import read_first_channel
from daframework.data.png import png_chunks
from daframework.errors import DataError, RunError
from daframework.interfaces import Scores
from daframework.storage.results import Results, Row, read_results, write_results


def test_a_damaged_file_gives_an_error_or_the_right_result():
    rigs = str(Path(__file__).parent / "torture")
    code = f"import sys; sys.path.insert(0, {rigs!r}); import corruption; corruption.main()"
    rig = Forked(["--cases", "12", "--seed", "0", "--real", "0"], code=code)
    out, errors = rig.communicate(BOUND)
    assert rig.returncode == 0, out + errors
    assert out.splitlines()[-1] == "12 damaged files: each refused, or read rightly"


# --- PNG files ---

IDS = np.random.default_rng(0).integers(0, 3, (20, 30))
WRITERS = {
    "colour": (lambda path: write(path, picture(shape=(20, 30, 3))), read_image),
    "grey": (lambda path: write(path, IDS), read_label),
    "palette": (lambda path: write_palette(path, IDS, bits=2), read_label),
    "deep": (lambda path: write_deep(path, IDS), read_first_channel),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_no_bit_of_a_png_turns_over_unseen(tmp_path, kind):
    path, (save, read) = tmp_path / "a.png", WRITERS[kind]
    save(path)
    whole, random = path.read_bytes(), Random(0)
    for _ in range(300):
        content = bytearray(whole)
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.png: "):
            read(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_png_that_was_cut_off_anywhere_is_refused(tmp_path, kind):
    path, (save, read) = tmp_path / "a.png", WRITERS[kind]
    save(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"a\.png: "):
            read(path)


def test_what_stands_behind_a_png_does_not_matter(tmp_path):
    path, (save, read) = tmp_path / "a.png", WRITERS["colour"]
    save(path)
    sound = read(path)
    path.write_bytes(path.read_bytes() + b"behind it")
    assert np.array_equal(read(path), sound)


def test_the_chunks_of_a_png_are_given_up_to_its_end(tmp_path):
    write(tmp_path / "a.png", IDS)
    with (tmp_path / "a.png").open("rb") as file:
        chunks = list(png_chunks(file))
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    assert len(chunks[0][1]) == 13 and chunks[-1][1] == b""


# --- results ---

ROW = Row("a", Scores(0.25, 0.75, (0.5, None)), None)
RESULTS = Results("a", 3, ("x", "y"), (ROW,), {"s": 1.5}, {"device": "cpu"}, {"source": 7})


@pytest.mark.parametrize("was, now", [("0.25", "0.75"), ('"seed": 3', '"seed": 4'), ('"source": 7', '"source": 1')])
def test_results_with_another_number_than_was_written_are_refused(tmp_path, was, now):
    path = tmp_path / "results.json"
    write_results(path, RESULTS)
    assert read_results(path) == RESULTS
    path.write_text(path.read_text().replace(was, now, 1))
    with pytest.raises(RunError, match=r"results\.json: not a results file \(.*not what was written\); run its recipe"):
        read_results(path)


def test_results_of_a_version_that_wrote_no_digest_are_read(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, RESULTS)
    lines = [line for line in path.read_text().splitlines() if '"digest"' not in line]
    path.write_text("\n".join(lines).replace('"cpu"\n  },', '"cpu"\n  }'))
    assert read_results(path) == RESULTS


def test_a_digest_whose_name_was_damaged_does_not_pass_for_an_older_version(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, RESULTS)
    path.write_text(path.read_text().replace('"digest"', '"digesu"').replace("0.25", "0.75"))
    with pytest.raises(RunError, match="not what was written"):
        read_results(path)


def test_the_digest_is_the_same_for_the_same_results_wherever_they_were_made(tmp_path):
    elsewhere = Results("a", 3, ("x", "y"), (ROW,), {"s": 9.0}, {"device": "cuda"}, {"source": 7})
    digests = []
    for name, results in (("one", RESULTS), ("other", elsewhere)):
        write_results(tmp_path / name, results)
        digests += [line for line in (tmp_path / name).read_text().splitlines() if "digest" in line]
    assert len(digests) == 2 and digests[0] == digests[1]


@pytest.mark.parametrize("key", ["seconds", "environment", "images"])
def test_results_whose_tables_are_lists_are_refused(tmp_path, key):
    path = tmp_path / "results.json"
    write_results(path, RESULTS)
    content = json.loads(path.read_text())
    del content["digest"]
    path.write_text(json.dumps(content | {key: []}))
    with pytest.raises(RunError, match="must be objects"):
        read_results(path)
