"""What plugins are built on changes only with its version, and nothing goes that was not deprecated before."""

import re
import sys
import warnings
from types import ModuleType, SimpleNamespace

import pluggy
import pytest
from plugin_api import SNAPSHOT, complaints, describe

import daframework
from daframework import hookimpl
from daframework.errors import PluginError
from daframework.hookspecs import hookspec
from daframework.plugin_api import API_VERSION, deprecated, deprecated_names
from daframework.registry import load_plugins


def test_the_api_is_as_written_down_or_its_version_was_raised():
    before, now = SNAPSHOT.read_text(encoding="utf-8").splitlines(), describe()
    assert complaints(before, now) == []
    assert now == before, "write tests/plugin_api.txt anew: python tests/plugin_api.py"


def test_what_plugins_build_on_is_in_the_text():
    names = {line.split(" ")[0] for line in describe()}
    assert {
        "hookspecs.daf_listener",
        "interfaces.Generator.features",
        "interfaces.Loss.needs_semantics",
        "interfaces.IGNORE_INDEX",
        "listener.Listener.end",
        "testing.check_loss",
        "testing.check_component",
    } <= names


OLD = ["version 1.2", "a.f (x: int)", "a.Old deprecated('New', '1.2')"]


@pytest.mark.parametrize(
    "now, says",
    [
        (OLD, []),
        (["version 1.3", *OLD[1:]], []),
        (["version 1.3", *OLD[1:], "a.g ()"], []),
        (["version 1.2", *OLD[1:], "a.g ()"], ["a.g: not as in .*raise the MINOR"]),
        (["version 1.2", "a.f (x: float)", OLD[2]], ["a.f: not as in .*the MAJOR for what a plugin must be changed"]),
        (["version 2.0", OLD[1]], []),
        (["version 1.3", OLD[1]], ["a.Old: gone; raise the MAJOR"]),
        (["version 2.0", OLD[2]], ["a.f is gone and was not deprecated in version 1.2"]),
        (["version 1.3", "a.f deprecated('g', '1.3')", OLD[2], "a.g (x: int)"], []),
    ],
)
def test_a_change_needs_a_version_and_what_goes_was_deprecated(now, says):
    found = complaints(OLD, now)
    assert len(found) == len(says) and all(map(re.search, says, found)), found


def test_a_plugin_made_for_this_version_or_for_none_in_particular_works():
    major = API_VERSION.partition(".")[0]
    assert daframework.API_VERSION == API_VERSION
    for stated in ({}, {"daf_api": API_VERSION}, {"daf_api": f"{major}.0"}):
        assert load_plugins(extra={"mine": SimpleNamespace(**stated)}).origins


@pytest.mark.parametrize(
    "stated, says",
    [
        ("0.9", "made for version 0.9 of the plugin API, not 1.0; install a newer version of the plugin"),
        ("1.1", "made for version 1.1 .*; install a newer daframework"),
        ("2.0", "install a newer daframework"),
        (1, 'must be a text such as "1.0", got 1'),
        ("one", "got 'one'"),
        (None, "got None"),
    ],
)
def test_a_plugin_made_for_another_version_is_told_in_a_line(stated, says, monkeypatch):
    monkeypatch.setattr("daframework.plugin_api.API_VERSION", "1.0")
    with pytest.raises(PluginError, match=rf"^plugin mine \(given in Python -\): .*{says}") as caught:
        load_plugins(extra={"mine": SimpleNamespace(daf_api=stated)})
    assert "\n" not in str(caught.value)


def test_a_deprecated_name_works_and_a_warning_says_what_took_its_place(monkeypatch):
    module = ModuleType("daf_old_names")
    module.New, module.__getattr__ = object(), deprecated_names("daf_old_names", Old=("New", "1.4"))
    monkeypatch.setitem(sys.modules, "daf_old_names", module)
    with pytest.warns(
        FutureWarning, match=r"_names\.Old is deprecated since version 1\.4 .* goes with 2\.0; use .*New"
    ):
        assert module.Old is module.New
    with warnings.catch_warnings(), pytest.raises(AttributeError, match="'daf_old_names' has no attribute 'Other'"):
        warnings.simplefilter("error")
        assert module.New and module.Other


def test_a_deprecated_hook_is_called_and_a_warning_says_what_took_its_place():
    class Hooks:
        @hookspec(warn_on_impl=deprecated("daf_old", since="1.4", use="daf_new"))
        def daf_old(self):
            raise AssertionError("a specification is not called")

    class Plugin:
        @hookimpl
        def daf_old(self):
            return "still here"

    manager = pluggy.PluginManager("daframework")
    manager.add_hookspecs(Hooks)
    with pytest.warns(FutureWarning, match="daf_old is deprecated since version 1.4 .*; use daf_new"):
        manager.register(Plugin())
    assert manager.hook.daf_old() == ["still here"]
