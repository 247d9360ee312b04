"""The two looks: how their streets are laid out and how they appear. Layout and appearance are independent."""

import tomllib
from importlib.resources import files

from daf_streets.camera import Camera
from daf_streets.paint import Paint
from daf_streets.render import Appearance
from daf_streets.scene import Layout


def _look(name: str) -> tuple[Layout, Appearance]:
    written = tomllib.loads(files("daf_streets").joinpath("look_files", f"{name}.toml").read_text(encoding="utf-8"))
    camera = Camera(**written["camera"]) if "camera" in written else None
    return Layout(**written["layout"]), Appearance(Paint(**written["paint"]), camera, written["samples"])


LOOKS = {name: _look(name) for name in ("game", "camera")}
