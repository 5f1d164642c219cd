"""Pages from templates: everything escaped, nothing loaded from another host, nothing kept by a cache."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from crm_airflow.web import chart
from crm_airflow.web.static import address
from crm_airflow.web.tabs import PARTS
from crm_sync.decide.budget import in_words

__all__ = ["page"]

TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    request: Request, template: str, status: int = 200, form_action: str = "'self'", **values: Any
) -> HTMLResponse:
    """One page; its policy lets the browser load nothing but our own files, and send forms only as said.

    Every template gets ``root`` (the path of our pages as the browser sees it) and ``framed`` (shown inside Airflow's
    sandbox, which lets no page open a window).
    """
    policy = (
        f"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        f"base-uri 'none'; form-action {form_action}; frame-ancestors 'self'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        # No path, for the address of the callback holds a code; with "no-referrer" forms would not say where they come from.
        "Referrer-Policy": "strict-origin",
        "X-Content-Type-Options": "nosniff",
    }
    root = request.scope.get("root_path", "")
    framed = request.headers.get("sec-fetch-dest") == "iframe"
    text = TEMPLATES.get_template(template).render(
        root=root,
        airflow=root.rpartition("/")[0] + "/",
        framed=framed,
        here=request.url.path,
        **values,
    )
    return HTMLResponse(text, status_code=status, headers=headers)


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "never"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _age(value: timedelta | None) -> str:
    return "" if value is None else in_words(value)


def _words(name: str) -> str:
    """A word of the ledger as people read it."""
    return name.replace("_", " ")


TEMPLATES.filters.update(moment=_moment, number=_number, age=_age, words=_words)
TEMPLATES.globals.update(static=address, bars=chart.bars, parts=PARTS, once=partial(token_hex, 8))
