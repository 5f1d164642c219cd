"""How a reply looks on the wire: its JSON, its headers, its compression."""

from __future__ import annotations

import secrets
import time
import zlib
from typing import Any

import orjson
from multidict import CIMultiDict

from salesforce_standin.clock import Clock
from salesforce_standin.http_call import NOTHING, Reply

_GZIP_FROM = 8192
_YEAR = 31_536_000


def headers_of(reply: Reply, clock: Clock, host: str, usage: str | None, *, secure: bool) -> CIMultiDict[str]:
    """Return the headers that recorded replies carry (facts/salesforce.md 3.2)."""
    headers: CIMultiDict[str] = CIMultiDict(reply.headers)
    headers["Date"] = clock.http_date()
    until = time.strftime("%a, %d-%b-%Y %H:%M:%S GMT", time.gmtime(clock.now() + _YEAR))
    tail = f"path=/; expires={until}; Max-Age={_YEAR}"
    for name in ("CookieConsentPolicy", "LSKey-c$CookieConsentPolicy"):
        headers.add("Set-Cookie", f"{name}=0:1; domain={host}; {tail}")
    headers.add("Set-Cookie", f"BrowserId={secrets.token_urlsafe(16)}; domain=.salesforce.com; {tail}")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-XSS-Protection"] = "1; mode=block"
    headers["X-Robots-Tag"] = "none"
    headers["Cache-Control"] = "no-cache,must-revalidate,max-age=0,no-store,private"
    if usage is not None:
        headers["Sforce-Limit-Info"] = usage
    if reply.body is not NOTHING:
        headers.setdefault("Content-Type", reply.content_type)
    headers["Vary"] = "Accept-Encoding"
    headers["Server"] = "sfdcedge"
    if secure:
        headers["Strict-Transport-Security"] = f"max-age={_YEAR}; includeSubDomains"
    return headers


def spell(reply: Reply, *, indented: bool) -> bytes:
    """Return the bytes of a body."""
    if reply.body is NOTHING:
        return b""
    if isinstance(reply.body, bytes):
        return reply.body
    return pretty(reply.body).encode() if indented else orjson.dumps(reply.body)


def pretty(value: Any, depth: int = 0) -> str:
    """Spell JSON as it is recorded with X-PrettyPrint, and in results of Bulk API 1.0: a space before the colon, lists in the line of their key."""
    if isinstance(value, list):
        return f"[ {', '.join(pretty(one, depth) for one in value)} ]" if value else "[ ]"
    if not isinstance(value, dict):
        return orjson.dumps(value).decode()
    if not value:
        return "{ }"
    pad = "  " * (depth + 1)
    lines = [f"{pad}{orjson.dumps(name).decode()} : {pretty(one, depth + 1)}" for name, one in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + pad[2:] + "}"


def pack(body: bytes, headers: CIMultiDict[str], accepted: str) -> bytes:
    """Compress a long body for a client that can read it so; level 1, or it would cost more than it saves."""
    if len(body) < _GZIP_FROM or "gzip" not in accepted:
        return body
    headers["Content-Encoding"] = "gzip"
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()
