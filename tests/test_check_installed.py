"""`daf plugins --check`, and the checks of listeners and commands that it runs beside those of components."""

import importlib
import json

import click
import pytest
import tiny
from conftest import install, refused
from torch import nn

from daframework import hookimpl
from daframework.errors import PluginError
from daframework.listener import Listener
from daframework.registry import load_plugins
from daframework.testing import check_commands, check_listener
from daframework.testing.registered import BROKEN, NOT_CHECKED, OK, check_installed


class Loud(tiny.Painter):
    def forward(self, image):
        return super().forward(image) * 3


class Failing(tiny.Painter):
    def forward(self, image):
        raise OSError("no licence")


def needy(*, root: str, size: int):
    raise AssertionError("is not called")


def absent():
    try:
        importlib.import_module("not_there_at_all")
    except ImportError as error:
        raise PluginError("needs the extra mine") from error


class Mixed:
    """One plugin with all that a check can come to."""

    @hookimpl
    def daf_generators(self):
        return {"sound": tiny.Painter, "loud": Loud, "failing": Failing, "absent": absent, "wrong": nn.Identity}

    @hookimpl
    def daf_datasets(self):
        return {"needy": needy}

    @hookimpl
    def daf_listener(self, run_folder):
        (run_folder / "here").touch()
        return Listener()

    @hookimpl
    def daf_commands(self, group):
        group.command("greet")(lambda: None)


def test_each_thing_that_a_plugin_offers_gets_a_verdict():
    plugins = load_plugins(extra={"mixed": Mixed()})
    found = {one.what.partition(" of ")[0]: (one.state, one.why) for one in check_installed(plugins, "mixed")}
    assert found.pop("daf_listener") == found.pop("generator:sound") == (OK, "")
    assert found.pop("dataset:needy") == (NOT_CHECKED, "it needs options of yours: root, size")
    assert found.pop("generator:absent") == (NOT_CHECKED, "needs the extra mine")
    assert found.pop("generator:failing") == (BROKEN, "OSError: no licence")
    broken = {"daf_commands": "must have a docstring", "generator:loud": "[-1, 1]", "generator:wrong": "be a Generator"}
    assert {what: state for what, (state, _) in found.items()} == dict.fromkeys(broken, BROKEN)
    assert all(part in found[what][1] for what, part in broken.items())


def test_a_listener_is_told_of_a_made_up_run_only_where_its_plugin_is_named(monkeypatch):
    monkeypatch.setattr("daframework.testing.registered.components", lambda plugins, kind: {})
    listed = [one for one in check_installed(load_plugins(extra={"mixed": Mixed()})) if "listener of mixed" in one.what]
    assert [(one.state, one.what) for one in listed] == [(NOT_CHECKED, "daf_listener of mixed (given in Python -)")]


def test_a_check_ends_with_1_where_something_is_broken(daf, installed):
    code, out, errors = daf("plugins", "--check", "loss:cycle")
    assert (code, out, errors) == (0, "ok           loss:cycle of cyclegan (daframework 0.1.0)\n1 ok\n", "")
    (installed / "daf_loud.py").write_text(
        "from daframework import hookimpl\n\n\n@hookimpl\ndef daf_generators():\n"
        "    from test_check_installed import Loud\n\n    return {'loud': Loud}\n"
    )
    install(installed, "daf-loud", "0.3", {"loud": "daf_loud"})
    code, out, errors = daf("plugins", "--check", "daf-loud")
    assert (code, errors) == (1, "") and out.endswith("\n1 broken\n")
    assert out.startswith("broken       generator:loud of loud (daf-loud 0.3): generator Loud must give values in [-1,")
    code, out, _ = daf("plugins", "--check", "daf-loud", "--json")
    assert code == 1 and [one["state"] for one in json.loads(out)] == ["broken"]
    refused(daf("plugins", "--check", "lod"), "no plugin named 'lod'; did you mean 'loud'")
    refused(daf("plugins", "--check", "los:cycle"), "no kind named 'los'; did you mean 'loss'")


def test_a_broken_plugin_is_told_by_name_and_in_the_whole(daf, installed, monkeypatch):
    monkeypatch.setattr("daframework.testing.registered.components", lambda plugins, kind: {})
    (installed / "daf_gone.py").write_text("import not_there_at_all")
    install(installed, "daf-gone", "0.3", {"gone": "daf_gone"})
    code, _, errors = daf("plugins", "--check", "gone")
    assert code == 1 and "note: plugin gone (daf-gone 0.3) cannot be imported" in errors.splitlines()[-1]
    code, out, _ = daf("plugins", "--check")
    assert code == 1 and "broken       plugin: plugin gone (daf-gone 0.3) cannot be imported: ModuleNotFound" in out


class Deaf(Listener):
    def end(self, results):
        self.best = max(row["mIoU"] for row in results["rows"])


@pytest.mark.parametrize(
    "give, error, says",
    [
        (lambda run_folder, recipe: 3, PluginError, "must give a Listener or None, got int"),
        (lambda recipe: Deaf(), TypeError, "'>' not supported"),  # a row without a score
    ],
)
def test_a_listener_bears_whatever_a_run_tells(give, error, says):
    check_listener(lambda: None)
    check_listener(lambda run_folder: Listener())
    with pytest.raises(error, match=says):
        check_listener(give)


def test_commands_are_those_of_click_and_say_what_they_do():
    check_commands(lambda group: group.command("greet", help="Say hello.")(lambda: None))
    with pytest.raises(PluginError, match="must add one command or more"):
        check_commands(lambda group: None)
    with pytest.raises(PluginError, match="command 'greet' must be a command of click, got function"):
        check_commands(lambda group: group.commands.update(greet=lambda: None))
    with pytest.raises(PluginError, match="command 'greet' must have a docstring"):
        check_commands(lambda group: group.add_command(click.Command("greet")))
