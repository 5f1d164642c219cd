"""A real browser, signed in as somebody or not, before the real stack; see `make browser` for what has to be installed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.ui import office as offices
from tests.ui import stack
from tests.ui.person import Person

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60_000
"""Milliseconds: a machine of CI may be busy with other tests."""
HOW = "no Chromium was found: run `make browser`, which says what to install (on Debian: apt install chromium npm)"


@pytest.fixture(scope="session")
def running() -> Iterator[stack.Running]:
    """The stack, started once."""
    with stack.running() as started:
        yield started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; a machine without one fails and says how to get it."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.fail(HOW, pytrace=False)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        # As root, as CI runs, Chromium has no sandbox of its own; it sees nothing but our own pages.
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    file = Path(__file__).parents[2] / ".local" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        pytest.fail("axe-core is not installed: run `make browser`", pytrace=False)
    return file.read_text(encoding="utf-8")


@pytest.fixture
def windows(browser: Browser) -> Iterator[Callable[[], BrowserContext]]:
    """Makes browsers that nobody has signed in with; each has cookies of its own."""
    opened: list[BrowserContext] = []

    def open_one() -> BrowserContext:
        fresh = browser.new_context(viewport={"width": 1280, "height": 900})
        fresh.set_default_timeout(PATIENCE)
        opened.append(fresh)
        return fresh

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def stranger(windows: Callable[[], BrowserContext]) -> Page:
    """A page of a browser that nobody has signed in with."""
    return windows().new_page()


@pytest.fixture
def admin(windows: Callable[[], BrowserContext], running: stack.Running) -> Person:
    """The administrator, signed in."""
    return Person.sign_in(windows(), running, "admin")


@pytest.fixture
def viewer(windows: Callable[[], BrowserContext], running: stack.Running) -> Person:
    """Somebody who may look only, signed in."""
    return Person.sign_in(windows(), running, "viewer")


@pytest.fixture(scope="session")
def _office(running: stack.Running) -> Iterator[offices.Office]:
    with offices.working(running) as working:
        yield working


@pytest.fixture
def office(_office: offices.Office) -> Iterator[offices.Office]:
    """The connection that is at work; each story begins with its usual settings."""
    yield _office
    _office.tidy()
