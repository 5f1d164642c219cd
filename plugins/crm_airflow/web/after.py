"""After a form was taken: back to a page of the connection, with a word in its address for what the page then says."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

__all__ = ["Told", "back"]


def back(request: Request, connection: str, path: str = "", **query: str) -> Response:
    """Send the browser to a page of the connection; ``path`` is the one behind the connection's own."""
    root = request.scope.get("root_path", "")
    asked = f"?{urlencode(query)}" if query else ""
    return RedirectResponse(f"{root}/connections/{connection}{path}{asked}", 303)


def told(request: Request, told: str = "") -> str:
    """The word in a page's address; blank where a link from elsewhere brought it, for then nothing was done."""
    return told if request.headers.get("sec-fetch-site") in {None, "same-origin"} else ""


Told = Annotated[str, Depends(told)]
"""A parameter of this type gives a page the word, to be looked up in its table of sentences."""
