"""Contract checks for what hooks other than those of components give."""

import inspect
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch

from daframework.errors import PluginError
from daframework.interfaces import Scores
from daframework.listener import Listener
from daframework.recipes.read import parse
from daframework.storage.results import Results, Row, results_to_json


def check_listener(hook: Callable[..., Any]) -> None:
    """``hook`` is a plugin's ``daf_listener``: what it gives bears a run that finishes, and one that goes on and stops.

    Both are made up: three steps, three rows and a picture, in a run folder that is deleted afterwards. One of the
    values is NaN, which ends a run, and one row has no score. A hook that gives None is not told anything.

    Raises:
        PluginError: it gives something else than a listener.
        Exception: whatever the listener raises.
    """
    named = {table: {"name": "made_up"} for table in ("source", "target", "task")}
    recipe = parse({"name": "made_up", "data": {"crop_size": [8, 12]}, "downstream": {"steps": 3}} | named, "made_up")
    scores = Scores(0.5, 0.75, (0.5, None))
    rows = (Row("source_only", scores), Row("made_up", scores, scores), Row("oracle", Scores(None, None, (None, None))))
    results = results_to_json(Results("made_up", 0, ("one", "two"), rows, {"translation": 1.0}, {}))
    for done, told in ((0, results), (1, None)):
        with TemporaryDirectory() as folder:
            given = {"run_folder": Path(folder), "recipe": recipe}
            listener = hook(*(given[name] for name in inspect.signature(hook).parameters))
            if listener is None:
                return
            if not isinstance(listener, Listener):
                raise PluginError(f"daf_listener must give a Listener or None, got {type(listener).__name__}")
            listener.begin("translation", 3, done)
            for step in range(done + 1, 4):
                listener.advance(step)
                listener.values(step, {"generator/total": 1.0 / step, "generator/cycle": float("nan")})
            listener.image("samples", 3, torch.zeros(3, 8, 12, dtype=torch.uint8))
            listener.end(told)


def check_commands(hook: Callable[..., Any]) -> None:
    """``hook`` is a plugin's ``daf_commands``: it adds commands of click, and each has a help text and can show it.

    Raises:
        PluginError: it adds none, or something else, or a command without a word on what it does.
        Exception: whatever a command raises where it shows its help.
    """
    from click.testing import CliRunner

    group = click.Group()
    hook(group)
    if not group.commands:
        raise PluginError("daf_commands must add one command or more to the group, got none")
    offered: dict[str, object] = {**group.commands}  # whatever the plugin put there
    for name, command in offered.items():
        if not isinstance(command, click.Command):
            raise PluginError(f"command '{name}' must be a command of click, got {type(command).__name__}")
        if not command.get_short_help_str():
            raise PluginError(f"command '{name}' must have a docstring, which is its help")
        CliRunner().invoke(command, ["--help"], catch_exceptions=False)
