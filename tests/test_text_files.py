"""Text that a user wrote, in a recipe, suite, label space or list, as editors on Windows save it."""

import pytest
import tomli_w
from conftest import refused
from image_files import picture, write

from daf_driving.lists import list_split
from daf_driving.pairing import Folder
from daframework.data.spaces import read_space
from daframework.errors import DafError
from daframework.recipes.read import read
from daframework.suites.suite import read_suite

SUITE = {"name": "s", "recipes": ["a"]}
SPACE = {"classes": [{"name": "road", "colour": [1, 2, 3]}]}


def read_list(path):
    write(path.parent / "images" / "a.png", picture())
    folder = Folder(path.parent / "images", path.parent / "labels")
    return [entry.name for entry in list_split(folder, path.parent, "train", train=path.name, test=None)]


@pytest.fixture(params=["recipe", "suite", "space", "list"])
def kind(request, tables):
    """How the file is read, and its text."""
    return {
        "recipe": (read, tomli_w.dumps(tables)),
        "suite": (read_suite, tomli_w.dumps(SUITE)),
        "space": (read_space, tomli_w.dumps(SPACE)),
        "list": (read_list, "a\n"),
    }[request.param]


def test_a_byte_order_mark_and_line_ends_of_windows_change_nothing(tmp_path, kind):
    reader, text = kind
    path = tmp_path / "a.toml"
    path.write_text(text, encoding="utf-8")
    plain = reader(path)
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    assert reader(path) == plain


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path, kind, encoding):
    reader, text = kind
    (tmp_path / "a.toml").write_bytes(text.encode(encoding))
    with pytest.raises(DafError, match=r"a\.toml: .*it is UTF-16; save it as UTF-8$"):
        reader(tmp_path / "a.toml")


def test_another_encoding_is_told_in_one_line_with_what_to_do(tmp_path, kind):
    reader, text = kind
    (tmp_path / "a.toml").write_bytes("# für\n".encode("latin-1") + text.encode())
    with pytest.raises(DafError, match=r"a\.toml: .*it is no UTF-8 \(byte 3\); save it as UTF-8$"):
        reader(tmp_path / "a.toml")


def test_a_recipe_is_shown_without_its_byte_order_mark_and_one_in_utf_16_is_refused(daf, write, tables):
    path = write(tables)
    text = path.read_text()
    path.write_bytes(text.encode("utf-8-sig"))
    assert daf("recipes", path)[1] == text and daf("check", path)[0] == 0
    path.write_bytes(text.encode("utf-16"))
    for command in ("recipes", "check", "run"):
        refused(daf(command, path), r"tiny\.toml: not a TOML file: it is UTF-16; save it as UTF-8")
