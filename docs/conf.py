"""The site: ``python -m sphinx -W docs site``, offline. Every page reads as plain Markdown too, on a code host or in an
editor; what only the site has, its navigation and the pages from signatures and docstrings, made_pages.py adds."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import made_pages

import daframework

project = "daframework"
version = release = daframework.__version__
root_doc = "index"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
myst_heading_anchors = 4
autodoc_default_options = {"members": True, "exclude-members": "__init__"}
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"  # and the part that is left out: nobody but daframework makes these
autodoc_preserve_defaults = True
copybutton_prompt_text = "$ "
smartquotes = False  # options begin with two hyphens, and keep them
html_theme = "furo"
html_title = f"daframework {version}"
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]


def setup(app):
    app.connect("source-read", _add)
    app.connect("autodoc-process-docstring", _as_restructured_text)


def _add(app, name, source):
    source[0] += made_pages.ADDED.get(name, lambda page: "")(source[0])


def _as_restructured_text(app, what, name, thing, options, lines):
    """Docstrings name code in single backticks, as Markdown does, and have sections of names and meanings."""
    field = ""
    for number, line in enumerate(lines):
        field = {"Args:": ":param", "Raises:": ":raises"}.get(line, field if line[:1] in ("", " ") else "")
        line = re.sub(r"^    (\w+): ", rf"{field} \1: ", line) if field else line
        lines[number] = "" if line in ("Args:", "Raises:") else re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line)
