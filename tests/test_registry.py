from pathlib import Path

import pytest
from conftest import install

from daframework import hookimpl
from daframework.errors import PluginError
from daframework.registry import clashes, components, find, folders, load_plugins


class Offers:
    """A plugin that offers ``factories`` as generators."""

    def __init__(self, factories):
        self.factories = factories

    @hookimpl
    def daf_generators(self):
        return self.factories


def test_two_plugins_that_offer_one_name_are_both_named_when_it_is_asked_for():
    plugins = load_plugins(extra={"one": Offers({"twin": int, "a": int}), "two": Offers({"twin": int, "b": int})})
    with pytest.raises(PluginError) as caught:
        find(plugins, "generator", "twin")
    assert "two plugins offer the generator 'twin'" in str(caught.value)
    assert "one (given in Python -)" in str(caught.value) and "two (given in Python -)" in str(caught.value)
    assert clashes(plugins, "generator") == [str(caught.value)]


def test_a_name_that_two_plugins_offer_does_not_stand_in_the_way_of_others():
    plugins = load_plugins(extra={"one": Offers({"twin": int, "a": int}), "two": Offers({"twin": int, "b": int})})
    assert {"a", "b"} <= components(plugins, "generator").keys() and "twin" not in components(plugins, "generator")
    assert find(plugins, "generator", "b").origin.plugin == "two"


def test_one_name_may_stand_for_two_kinds():
    class Both(Offers):
        @hookimpl
        def daf_losses(self):
            return {"a_name": float}

    plugins = load_plugins(extra={"both": Both({"a_name": int})})
    assert find(plugins, "generator", "a_name").factory is int
    assert find(plugins, "loss", "a_name").factory is float


def test_two_plugins_of_one_name_are_refused():
    with pytest.raises(PluginError, match=r"plugin streets .*already registered"):
        load_plugins(extra={"streets": Offers({})})


def test_a_misspelt_hook_is_refused_with_its_plugin_and_name():
    class Misspelt:
        @hookimpl
        def daf_generatorz(self):
            return {}

    with pytest.raises(PluginError, match=r"plugin bad \(given in Python -\): unknown hook 'daf_generatorz'"):
        load_plugins(extra={"bad": Misspelt()})


def test_a_hook_with_an_argument_that_does_not_exist_is_refused():
    class Asks:
        @hookimpl
        def daf_listener(self, run_folder, epoch):
            return None

    with pytest.raises(PluginError, match=r"plugin bad .*daf_listener.*epoch"):
        load_plugins(extra={"bad": Asks()})


def test_a_hook_that_fails_is_reported_with_its_plugin():
    class Fails:
        @hookimpl
        def daf_generators(self):
            raise OSError("no driver")

    with pytest.raises(PluginError, match=r"plugin bad \(given in .*\): daf_generators failed: OSError: no driver"):
        components(load_plugins(extra={"bad": Fails()}), "generator")


@pytest.mark.parametrize("offered", [None, ["a"], "a", {"a"}])
def test_a_hook_must_return_a_mapping(offered):
    with pytest.raises(PluginError, match=r"plugin bad .*daf_generators must return a mapping of names to factories"):
        components(load_plugins(extra={"bad": Offers(offered)}), "generator")


@pytest.mark.parametrize("offered", [None, 3])
def test_a_folder_hook_must_return_a_folder(offered):
    class Shelf:
        @hookimpl
        def daf_recipes(self):
            return offered

    with pytest.raises(PluginError, match=r"plugin bad .*daf_recipes must return a folder, got"):
        folders(load_plugins(extra={"bad": Shelf()}), "daf_recipes")


def test_an_unknown_name_comes_with_the_nearest_and_all_known_ones(plugins):
    with pytest.raises(PluginError, match=r"no generator named 'paintre'; did you mean 'painter'\? \(known: .*painter"):
        find(plugins, "generator", "paintre")
    assert "painter" in components(plugins, "generator")


def test_a_component_says_where_it_comes_from(installed):
    component = find(load_plugins(), "generator", "painter")
    assert str(component.origin) == "tiny (daf-tiny 1.2)"


@pytest.mark.parametrize(
    "content, says",
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("def (", "SyntaxError"),
        ("import sys; sys.exit('no display')", "SystemExit: no display"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_reported_and_the_others_work(installed, content, says):
    (installed / "daf_broken_one.py").write_text(content)
    install(installed, "daf-broken", "0.3", {"broken_one": "daf_broken_one"})
    plugins = load_plugins()
    (line,) = plugins.broken
    assert line.startswith("plugin broken_one (daf-broken 0.3) cannot be imported: ") and says in line
    assert find(plugins, "generator", "painter").origin.plugin == "tiny"
    with pytest.raises(PluginError, match=r"no generator named 'brok'.*; note: plugin broken_one \(daf-broken 0.3\)"):
        find(plugins, "generator", "brok")


def test_the_projects_own_recipes_come_through_the_same_door():
    offered = {origin.plugin: folder for origin, folder in folders(load_plugins(), "daf_recipes")}
    assert (offered["benchmarks"] / "source_only.toml").is_file() and isinstance(offered["benchmarks"], Path)
