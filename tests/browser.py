"""A headless Chromium for tests of pages, and what every page must keep: no error, no request outside itself."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import BOUND

FLAGS = (
    "--no-sandbox",  # as root, where CI runs
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium; tests are skipped without it, but not in CI, which installs it."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium on PATH; CHROMIUM may name one")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * BOUND)

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address, ``open_page(url, width=390, dark=True)``; afterwards nothing may have gone wrong."""
    contexts, wrong = [], []

    def opened(url: str, *, width: int = 1280, dark: bool = False, touch: bool = False) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", has_touch=touch
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * BOUND)
        origin = url.split("#")[0] if url.startswith("file:") else "/".join(url.split("/")[:3])
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((origin, "data:", "blob:"))
                else wrong.append(f"asked for {asked.url[:99]}")
            ),
        )
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong, wrong


def barriers(page: Any) -> list[str]:
    """What axe-core calls a serious or critical violation of WCAG on the page, a line each."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
