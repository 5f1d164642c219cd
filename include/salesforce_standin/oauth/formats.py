"""In which format the token endpoint and its neighbours answer: JSON, or what ``format`` or Accept asks for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from salesforce_standin import xml_text
from salesforce_standin.http_call import Incoming, Reply
from salesforce_standin.oauth import browser

_TYPES = {"xml": "application/xml", "urlencoded": "application/x-www-form-urlencoded"}
_CHARSET = ";charset=UTF-8"


def spelled(incoming: Incoming, reply: Reply) -> Reply:
    """Return a reply in the format that the request asks for; an unknown one is JSON."""
    body, wanted = reply.body, _wanted(incoming)
    if wanted is None or not isinstance(body, dict):
        return reply
    text = urlencode(_texts(body)) if wanted == "urlencoded" else _xml(body)
    return Reply(reply.status, text.encode(), reply.headers, _TYPES[wanted] + _CHARSET)


def _wanted(incoming: Incoming) -> str | None:
    asked = browser.form_of(incoming).get("format", incoming.query.get("format", "")).lower()
    if asked:
        return asked if asked in _TYPES else None
    accepted = incoming.headers.get("accept", "").partition(",")[0].partition(";")[0].strip().lower()
    return next((name for name, kind in _TYPES.items() if kind == accepted), None)


def _texts(body: dict[str, Any]) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in body.items()
    }


def _xml(body: dict[str, Any]) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>{xml_text.spell("OAuth", _texts(body))}'
