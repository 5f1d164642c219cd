"""Conditional requests: a record's age or tag against the headers of a request (facts/salesforce.md 4.2)."""

from __future__ import annotations

import base64
import hashlib
import re

import orjson

from salesforce_standin import clock
from salesforce_standin.errors import fail
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.tables import Row

_READS = frozenset({"GET", "HEAD"})
# Records of this object alone have tags.
_TAGGED = "001"
# What a compressing server adds inside the quotes (REST:conditional-request-headers).
_PACKED = re.compile(r'-{1,2}gzip(?="\Z)')


def refusal(call: Call, row: Row) -> Reply | None:
    """Return 304 or 412 if the headers say so; times are compared to the second."""
    if call.method == "DELETE" or "LastModifiedDate" not in row:
        return None
    return _by_tag(call, row) or _by_age(call, row)


def _by_age(call: Call, row: Row) -> Reply | None:
    changed = clock.epoch_of(row["LastModifiedDate"])
    since = _moment(call, "if-modified-since")
    if since is not None and call.method in _READS and changed <= since:
        return Reply(304, headers=marks(row))
    before = _moment(call, "if-unmodified-since")
    return Reply(412) if before is not None and changed > before else None


def _by_tag(call: Call, row: Row) -> Reply | None:
    tag = marks(row).get("ETag")
    if tag is None:
        return None
    wanted, known = call.headers.get("if-match"), call.headers.get("if-none-match")
    if wanted is not None and wanted != "*" and tag not in _tags(wanted):
        return Reply(412)
    if known is not None and (known == "*" or tag in _tags(known)):
        return Reply(304, headers=marks(row)) if call.method in _READS else Reply(412)
    return None


def _tags(header: str) -> set[str]:
    return {_PACKED.sub("", part.strip().removeprefix("W/")) for part in header.split(",")}


def marks(row: Row) -> dict[str, str]:
    """Return the headers by which a later request can refer to this state of a record."""
    headers: dict[str, str] = {}
    if row["Id"].startswith(_TAGGED):
        digest = hashlib.sha256(orjson.dumps(row)).digest()
        headers["ETag"] = f'"{base64.b64encode(digest).decode()}"'
    if "LastModifiedDate" in row:
        headers["Last-Modified"] = clock.http_date(clock.epoch_of(row["LastModifiedDate"]))
    return headers


def _moment(call: Call, header: str) -> float | None:
    text = call.headers.get(header)
    if text is None:
        return None
    moment = clock.parse_http_date(text)
    if moment is None and call.method not in _READS:
        raise fail(400, "INVALID_DATE_HEADER", f"Unable to parse the {header} header: {text}")
    return moment
