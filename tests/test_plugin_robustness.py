"""Whatever an installed plugin does, it is named, and the others go on working."""

import re
import sys
import types
from pathlib import Path

import pytest
import tiny
import torch
from conftest import Recorder, install, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from daframework import guard
from daframework.errors import PluginError
from daframework.interfaces import DiscriminatorOutput
from daframework.registry import clashes, components, fault_of, find, folders, load_plugins
from daframework.runs import log as run_log
from daframework.runs.log import Listeners, plugin_listeners
from daframework.testing import check_discriminator, check_generator, check_task

HOOK = "from daframework import hookimpl\n\n\n@hookimpl\n"


@pytest.fixture
def add(installed):
    """Install a plugin with this code: ``add("import nothing_there")``; its module is forgotten after the test."""
    before = set(sys.modules)

    def install_plugin(code, name="odd", distribution=None):
        module = f"daf_{name}_of_{(distribution or name).replace('-', '_')}"
        (installed / f"{module}.py").write_text(code, encoding="utf-8")
        install(installed, distribution or f"daf-{name}", "0.3", {name: module})

    yield install_plugin
    for name in set(sys.modules) - before:
        if name.startswith("daf_odd") or name.startswith("daf_other"):
            del sys.modules[name]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still, unless a plugin's code moves it: ``import the_clock; the_clock.now += 3``."""
    module = types.ModuleType("the_clock")
    module.now = 0.0
    monkeypatch.setitem(sys.modules, "the_clock", module)
    for user in (guard, run_log):
        monkeypatch.setattr(user, "time", types.SimpleNamespace(monotonic=lambda: module.now))


def load_plugins_told():
    """What the user is told while plugins are imported."""
    told = []
    load_plugins(warn=told.append)
    return told


def load():
    """The plugins, and all that the user is told of them once every hook was called."""
    told = []
    plugins = load_plugins(warn=told.append)
    for kind in ("generator", "loss"):
        components(plugins, kind)
    folders(plugins, "daf_recipes")
    assert find(plugins, "generator", "painter").origin.plugin == "tiny"
    return plugins, told


# --- what it does when it is imported ---


@pytest.mark.parametrize(
    "code, says",
    [
        ("import not_there_at_all", "cannot be imported: ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("def again():\n    again()\n\n\nagain()", "cannot be imported: RecursionError: maximum recursion"),
        ("raise ValueError('two\\nlines')", "cannot be imported: ValueError: two lines"),
        (HOOK + "def daf_generatorz():\n    return {}\n", "unknown hook 'daf_generatorz'"),
        (HOOK + "def daf_losses(step):\n    return {}\n", "'daf_losses'"),
        (HOOK + "def daf_losses():\n    import not_there_at_all\n", "daf_losses failed: ModuleNotFoundError"),
        (HOOK + "def daf_losses():\n    raise SystemExit\n", "daf_losses failed: SystemExit"),
        (HOOK + "def daf_losses():\n    return ['a']\n", "daf_losses must return a mapping of names to factories"),
        (
            HOOK + "def daf_losses():\n    return {'a': 3}\n",
            "must return a mapping of names to factories, got {'a': 3}",
        ),
        (HOOK + "def daf_losses():\n    return {3: int}\n", "daf_losses must return a mapping of names to factories"),
        (HOOK + "def daf_losses():\n    yield {}\n", "daf_losses must return a mapping of names to factories"),
        (HOOK + "def daf_recipes():\n    return None\n", "daf_recipes must return a folder, got None"),
    ],
)
def test_a_faulty_plugin_is_named_once_and_the_others_work(add, code, says):
    add(code)
    plugins, told = load()
    load_again = components(plugins, "loss")
    assert load_again.keys() >= {"lsgan", "tiny_cycle"}
    assert told == plugins.broken and len(told) == 1
    assert told[0].startswith("plugin odd (daf-odd 0.3)") and says in told[0] and "\n" not in told[0]


def test_what_is_not_found_is_told_together_with_what_is_broken(add):
    add(HOOK + "def daf_losses():\n    import not_there_at_all\n")
    with pytest.raises(PluginError, match=r"no loss named 'mine'.*; note: plugin odd .*daf_losses failed: Module"):
        find(load_plugins(), "loss", "mine")


def test_what_a_plugin_prints_does_not_mix_with_the_output(add, capsys):
    add("print('welcome')\n" + HOOK + "def daf_losses():\n    print('losses')\n    return {}\n")
    load()
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err == "welcome\nlosses\n"


def test_the_working_directory_stays_what_it_was(add):
    add("import os\nos.chdir('/')\n")
    before = Path.cwd()
    _, told = load()
    assert Path.cwd() == before
    assert told == ["plugin odd (daf-odd 0.3) went to another working directory; it was brought back"]


def test_plugins_of_two_distributions_may_have_one_name(add):
    code = HOOK + "def daf_losses():\n    return {{'{}': int}}\n"
    add(code.format("first"), "odd", "daf-odd-one")
    add(code.format("second"), "odd", "daf-odd-two")
    plugins, told = load()
    assert told == []
    assert find(plugins, "loss", "first").origin.distribution == "daf-odd-one"
    assert find(plugins, "loss", "second").origin.distribution == "daf-odd-two"


def test_a_module_that_two_distributions_name_is_taken_once(add, installed):
    add(HOOK + "def daf_losses():\n    return {'first': int}\n")
    install(installed, "daf-other", "0.1", {"other": "daf_odd_of_odd"})
    plugins, told = load()
    assert find(plugins, "loss", "first").origin.plugin == "odd"
    (line,) = told
    assert line.startswith("plugin other (daf-other 0.1): ") and "already registered" in line


def test_a_distribution_with_damaged_entry_points_is_named_and_the_others_work(add, installed):
    install(installed, "daf-other", "0.1", {})
    (installed / "daf_other-0.1.dist-info" / "entry_points.txt").write_text("[daframework]\nno equals sign\n")
    add(HOOK + "def daf_losses():\n    return {'first': int}\n")
    plugins, told = load()
    assert find(plugins, "loss", "first") and find(plugins, "loss", "lsgan")
    (line,) = told
    assert line.startswith("the entry points of distribution daf-other cannot be read: ")
    assert fault_of(ValueError("of nobody")) is None


@settings(max_examples=30, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(max_size=3) | st.floats(), st.lists, max_leaves=4))
def test_whatever_a_hook_returns_it_is_refused_in_a_line(answer):
    from daframework import hookimpl

    class Odd:
        @hookimpl
        def daf_losses(self):
            return answer

    with pytest.raises(PluginError, match=r"^plugin odd .*daf_losses must return a mapping of names to factories"):
        components(load_plugins(extra={"odd": Odd()}), "loss")


# --- how long it takes ---


def test_a_plugin_that_is_slow_to_import_is_told_with_its_seconds(add, clock):
    add("import the_clock\nthe_clock.now += 3.21\n")
    add("import the_clock\nthe_clock.now += 0.9\n", "other")
    plugins, told = load()
    assert told == [
        "plugin odd (daf-odd 0.3) took 3.2 s to be imported, at every command; DAF_BLOCK=odd switches it off"
    ]
    assert plugins.broken == []


def test_torch_is_not_the_time_of_the_plugin_that_imports_it_first(add, clock, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    late = "import sys, types, the_clock\nthe_clock.now += 9\n"
    add(late + "sys.modules['torch'] = types.ModuleType('torch')\n")
    assert [line for line in load_plugins_told() if "odd" in line] == []


def test_a_hook_may_take_its_time_since_torch_is_first_imported_there(add, clock):
    add(HOOK + "def daf_losses():\n    import the_clock\n    the_clock.now += 2\n    return {}\n")
    assert load()[1] == []


# --- DAF_BLOCK ---


def test_a_blocked_plugin_is_not_imported(add, monkeypatch, tmp_path):
    add(f"open({str(tmp_path / 'trap')!r}, 'w')\n")
    monkeypatch.setenv("DAF_BLOCK", " odd ,")
    plugins, told = load()
    assert told == [] and not (tmp_path / "trap").exists()
    assert [str(origin) for origin in plugins.blocked] == ["odd (daf-odd 0.3)"]


def test_what_needs_a_blocked_plugin_says_so(add, monkeypatch):
    add(HOOK + "def daf_losses():\n    return {'mine': int}\n")
    monkeypatch.setenv("DAF_BLOCK", "daf-odd")
    with pytest.raises(
        PluginError, match=r"no loss named 'mine'.*; note: plugin odd \(daf-odd 0.3\) is blocked by DAF_B"
    ):
        find(load_plugins(), "loss", "mine")


def test_an_unknown_name_in_the_block_list_comes_with_the_nearest(add, monkeypatch):
    add("")
    monkeypatch.setenv("DAF_BLOCK", "od,tiny-not")
    _, told = load()
    assert told[0].startswith("DAF_BLOCK: no plugin named 'od'; did you mean 'odd'? (known: ")
    assert told[1].startswith("DAF_BLOCK: no plugin named 'tiny-not'") and len(told) == 2


def test_a_third_party_that_takes_a_shipped_name_is_named_and_can_be_blocked(add, monkeypatch):
    add(HOOK + "def daf_losses():\n    return {'lsgan': int, 'mine': int}\n")
    plugins, told = load()
    assert told == [] and find(plugins, "loss", "mine") and find(plugins, "loss", "cycle")
    (line,) = clashes(plugins, "loss")
    assert line.startswith("two plugins offer the loss 'lsgan': ") and "odd (daf-odd 0.3)" in line
    assert line.endswith(" or DAF_BLOCK=odd")
    with pytest.raises(PluginError, match="two plugins offer the loss 'lsgan'"):
        find(plugins, "loss", "lsgan")
    monkeypatch.setenv("DAF_BLOCK", "odd")
    assert find(load_plugins(), "loss", "lsgan").origin.plugin == "cyclegan"


def test_plugins_lists_clashes_faults_and_what_is_blocked(add, daf, monkeypatch):
    add(HOOK + "def daf_losses():\n    return {'lsgan': int}\n")
    add("import not_there_at_all", "other")
    code, out, errors = daf("plugins")
    assert code == 0 and "loss:cycle " in out and "loss:lsgan" not in out
    assert "clash: two plugins offer the loss 'lsgan': " in errors
    assert "warning: plugin other (daf-other 0.3) cannot be imported: ModuleNotFoundError" in errors
    monkeypatch.setenv("DAF_BLOCK", "odd,other")
    code, out, errors = daf("plugins")
    assert code == 0 and "loss:lsgan" in out
    assert (
        errors
        == "blocked: plugin odd (daf-odd 0.3), by DAF_BLOCK\nblocked: plugin other (daf-other 0.3), by DAF_BLOCK\n"
    )


def test_a_recipe_whose_loss_two_plugins_offer_is_refused_and_runs_with_one_blocked(
    add, daf, write, tables, monkeypatch
):
    add(HOOK + "def daf_losses():\n    return {'tiny_cycle': int}\n")
    refused(
        daf("check", write(tables)), r"losses\.tiny_cycle\.name: two plugins offer the loss 'tiny_cycle'.*=odd or DAF"
    )
    monkeypatch.setenv("DAF_BLOCK", "odd")
    assert daf("check", write(tables))[0] == 0


# --- listeners ---

LISTENER = (
    HOOK
    + """def daf_listener():
    import the_clock
    from daframework.listener import Listener

    class Odd(Listener):
        def begin(self, stage, total, done):
            the_clock.now += 2

        def values(self, step, values):
            values.clear()
            print(step)
            raise OSError("no network")

    return Odd()
"""
)


def test_a_listener_that_fails_or_is_slow_is_named_once_and_the_others_are_told(add, clock, capsys, tmp_path, recipe):
    add(LISTENER)
    plugins, told = load()
    ear, values = Recorder(), {"loss": 1.0}
    log = Listeners([*plugin_listeners(plugins, tmp_path, recipe), ear])
    for step in (1, 2):
        log.begin("translation", 2, 0)
        log.values(step, values)
    assert told == [
        "plugin odd (daf-odd 0.3): its listener's begin() took 2.0 s, and the run waits",
        "plugin odd (daf-odd 0.3): its listener's values() failed and is told no more: OSError: no network",
    ]
    assert capsys.readouterr().out == "1\n" and values == {"loss": 1.0} and len(ear.lines) == 2


def test_a_listener_that_cannot_be_made_is_a_warning(add, tmp_path, recipe):
    add(HOOK + "def daf_listener(recipe):\n    raise OSError('no network')\n")
    plugins, told = load()
    assert plugin_listeners(plugins, tmp_path, recipe) == []
    assert told == ["plugin odd (daf-odd 0.3): daf_listener failed: OSError: no network"]


# --- commands ---

COMMANDS = """
import click
from daframework import hookimpl


@hookimpl
def daf_commands(group):
    @group.command()
    @click.argument("name")
    def greet(name):
        \"\"\"Say hello.\"\"\"
        click.echo(f"hello {name}")

    @group.command()
    def run():
        click.echo("not the run you know")
"""


def test_a_plugins_command_is_one_of_daf_and_replaces_none(add, daf):
    add(COMMANDS)
    add(HOOK + "def daf_commands(group):\n    raise OSError('no network')\n", "other")
    assert daf("greet", "you")[:2] == (0, "hello you\n")
    code, out, errors = daf("--help")
    assert code == 0 and re.search(r"^  greet +Say hello\.$", out.partition("Commands of plugins:\n")[2], re.MULTILINE)
    assert "warning: plugin odd (daf-odd 0.3): its command 'run' is left out, since daf has one of that name" in errors
    assert "warning: plugin other (daf-other 0.3): daf_commands failed: OSError: no network" in errors
    code, out, errors = daf("run", "--help")
    assert code == 0 and "the table" in out and errors == ""
    assert daf("gret")[0] == 2


def test_what_is_no_command_or_hidden_does_not_stand_in_the_help(add, daf):
    lines = "import click\n" + HOOK + "def daf_commands(group):\n    group.commands['none'] = print\n"
    add(lines + "    group.add_command(click.Command('secret', callback=lambda: print('told'), hidden=True))\n")
    code, out, errors = daf("--help")
    assert code == 0 and not re.search(r"^  (none|secret) ", out, re.MULTILINE)
    assert (
        errors == "warning: plugin odd (daf-odd 0.3): its command 'none' is left out, since it is no command of click\n"
    )
    assert daf("secret")[1] == "told\n"


# --- what its components do ---


class NaNPainter(tiny.Painter):
    def forward(self, image):
        return super().forward(image) * float("nan")


class NaNJudge(tiny.Judge):
    def forward(self, image):
        output = super().forward(image)
        return DiscriminatorOutput(output.realness, output.semantics / 0)


class UnlikeJudge(tiny.Judge):
    def forward(self, image):
        return DiscriminatorOutput(None, None)


class NaNPixels(tiny.Pixels):
    def model(self):
        model = super().model()
        torch.nn.init.constant_(model[0].weight, float("inf"))
        return model


class FloatPixels(tiny.Pixels):
    def loss(self, prediction, label):
        return 0.0


def test_checks_name_what_is_not_a_number():
    with pytest.raises(PluginError, match=r"generator NaNPainter must give values in \[-1, 1\], got nan to nan"):
        check_generator(NaNPainter(), height=8, width=8)
    with pytest.raises(PluginError, match=r"semantics of discriminator NaNJudge must be finite numbers, got \d+ that"):
        check_discriminator(NaNJudge(num_classes=3, semantic=True), num_classes=3, height=8, width=8)
    with pytest.raises(PluginError, match=r"what the model of task NaNPixels gives must be finite numbers, got \d+"):
        check_task(NaNPixels(3, 4, 1), num_classes=3, height=8, width=8)


def test_checks_name_what_is_no_tensor():
    with pytest.raises(PluginError, match=r"discriminator UnlikeJudge must give realness \(1, 1, h, w\), got NoneType"):
        check_discriminator(UnlikeJudge(num_classes=3), num_classes=3, height=8, width=8)
    with pytest.raises(PluginError, match="the loss of task FloatPixels must be a scalar, got float"):
        check_task(FloatPixels(3, 4, 1), num_classes=3, height=8, width=8)


def test_an_error_in_a_plugins_code_names_it_and_the_line(add, daf, write, tables):
    add(
        HOOK + "def daf_losses():\n"
        "    from tiny import Cycle\n\n"
        "    class Odd(Cycle):\n"
        "        def generator_loss(self, images):\n"
        "            loss = super().generator_loss(images)\n"
        "            return loss if loss.is_meta else {}['mine']\n\n"
        "    return {'odd': Odd}\n"
    )
    tables["losses"].append({"name": "odd"})
    refused(
        daf("run", write(tables), "--out", "run"),
        r"^error: unexpected KeyError: 'mine', in loss 'odd' \(a fault of daframework or of plugin odd "
        r"\(daf-odd 0\.3\), line 11 of daf_odd_of_odd\.py; the same command with --debug shows where\)$",
    )
