"""Pages from templates: everything escaped, nothing loaded from anywhere, nothing kept by a cache."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["page"]

TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


def page(template: str, status: int = 200, form_action: str = "'none'", **values: Any) -> HTMLResponse:
    """One page; its policy lets the browser load nothing but the page's own styles, and send forms only as said."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action {form_action}; "
        "frame-ancestors 'self'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",  # the address of the callback holds a code
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(
        TEMPLATES.get_template(template).render(nonce=nonce, **values), status_code=status, headers=headers
    )
