"""A person at a browser: signs in through Airflow's own page, looks at our pages, and checks how they are made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import BrowserContext, Page

from tests.ui import stack

SIZES = {"wide": (1280, 900), "narrow": (400, 800)}
SCHEMES = ("light", "dark")


@dataclass
class Person:
    """A signed-in person with one page open; ``errors``: what the browser's console complained of."""

    page: Page
    running: stack.Running
    errors: list[str]

    @classmethod
    def sign_in(cls, context: BrowserContext, running: stack.Running, user: str) -> Person:
        """Come as a stranger, be sent to Airflow's log-in, and be brought back to the page that was asked for."""
        page = context.new_page()
        page.goto(running.home)
        page.wait_for_url("**/auth/login**")
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", running.password)
        page.keyboard.press("Enter")
        page.wait_for_url(running.home)
        errors: list[str] = []
        page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return cls(page, running, errors)

    def go(self, path: str) -> Page:
        """Open one of our pages."""
        self.page.goto(self.running.home + path.lstrip("/"))
        return self.page

    def look_at(self, name: str, axe: str) -> None:
        """The page at both widths, in light and dark: accessible, nothing cut off; a picture of each is kept."""
        for size, (width, height) in SIZES.items():
            self.page.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                self.page.screenshot(path=stack.pictures() / f"{name}-{size}-{scheme}.png", full_page=True)
                found = violations(self.page, axe)
                assert not found, f"{name}, {size}, {scheme}: " + "; ".join(found)
            assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                f"{name} is cut off at {width}"
            )
        assert self.errors == [], name


def violations(page: Page, axe: str) -> list[str]:
    """What axe-core finds, by the rules of WCAG 2.2 AA and its own best practices."""
    # By the debugger's way: the page's own policy lets no script of ours in.
    found: dict[str, Any] = json.loads(page.evaluate(axe + ";axe.run().then(found => JSON.stringify(found))"))
    return [f"{each['id']}: {node['html']}" for each in found["violations"] for node in each["nodes"]]
