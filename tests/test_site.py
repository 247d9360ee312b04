"""The site of docs/: it builds offline without a warning, its links lead somewhere, and it names all there is."""

import subprocess
import sys
from inspect import signature
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
from bs4 import BeautifulSoup

import daframework
from daframework.cli import cli
from daframework.registry import KINDS, components, load_plugins

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Its pages, by file: each parsed."""
    out = tmp_path_factory.mktemp("site")
    doctrees = tmp_path_factory.mktemp("doctrees")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", doctrees, ROOT / "docs", out]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in sorted(out.rglob("*.html"))
    }


def page(site, name):
    return next(found for path, found in site.items() if path.stem == name)


def links(site):
    for path, found in site.items():
        for tag in found.find_all(True):
            for attribute in ("href", "src"):
                if tag.get(attribute):
                    yield path, tag, tag[attribute]


def test_every_page_has_a_place_in_the_navigation(site):
    linked = {link["href"].partition("#")[0] for link in page(site, "index").select(".sidebar-tree a[href]")}
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages - linked == {"index.html"}


def test_links_within_the_site_lead_to_a_file_and_a_place_in_it(site):
    anchors = {path: {tag["id"] for tag in found.find_all(id=True)} | {""} for path, found in site.items()}
    checked = 0
    for path, _, target in links(site):
        where, parts = f"{path.name}: {target}", urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        assert file.is_file(), where
        assert unquote(parts.fragment) in anchors.get(file, {"", unquote(parts.fragment)}), where
        checked += 1
    assert checked > 1000


def test_links_out_of_the_site_are_addresses_and_nothing_is_loaded_from_there(site):
    for path, tag, target in links(site):
        parts = urlsplit(target)
        if parts.scheme not in ("", "data", "mailto"):
            assert parts.scheme in ("http", "https") and "." in parts.netloc and " " not in target, (
                f"{path.name}: {target}"
            )
            assert tag.name == "a", f"{path.name} loads {target}"


def test_every_component_is_there_with_every_option(site):
    sections = {
        found.find(["h3"]).get_text("", strip=True).rstrip("¶#"): found
        for found in page(site, "components").select("section section")
    }
    for kind in KINDS:
        for name, one in components(load_plugins(), kind).items():
            shown = [row.td.get_text(strip=True) for row in sections[f"{kind}:{name}"].select("tbody tr")]
            assert shown == list(signature(one.factory).parameters), name
            meanings = [
                row.find_all("td")[3].get_text(strip=True) for row in sections[f"{kind}:{name}"].select("tbody tr")
            ]
            assert all(meanings), f"{kind}:{name} has an option without a meaning"


def every_command(command=cli, name="daf"):
    if isinstance(command, click.Group):
        for inner in command.list_commands(click.Context(command)):
            yield from every_command(command.get_command(click.Context(command), inner), f"{name} {inner}")
    else:
        yield name, command


def test_every_command_is_there_with_every_option(site):
    found = page(site, "commands")
    sections = {one.find(["h2"]).get_text("", strip=True).rstrip("¶#"): one for one in found.select("section section")}
    for name, command in every_command():
        shown = [row.get_text(" ", strip=True) for row in sections[name].select("tbody tr")]
        options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
        assert len(shown) == len(options), name
        assert all(one.opts[0] in row and one.help in row for one, row in zip(options, shown, strict=True)), name


def test_every_name_of_the_package_is_in_the_python_reference(site):
    shown = {tag["id"].rpartition(".")[2] for tag in page(site, "api").select("dt[id]")}
    assert set(daframework.__all__) - {"__version__", "hookimpl"} <= shown
