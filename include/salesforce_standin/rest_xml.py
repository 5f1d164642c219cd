"""The REST API in XML, for clients that ask for it: the same requests and replies, spelled as elements.

The Accept header chooses, else the kind of the request's body, and up to v57 the suffix of the address
(REST:rest-resources-and-requests, REST:rest-api-architecture). Roots are those of the guide's examples: the object's
name around its records, describes and replication, ``urls``, ``SObjectTreeResponse``; the others as clients know them.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from salesforce_standin import xml_text
from salesforce_standin.errors import fail
from salesforce_standin.http_call import NOTHING, Incoming, Reply

TYPE = "application/xml"
_JSON = "application/json"
_CONTENT_TYPE = f"{TYPE};charset=UTF-8"
_LAST_WITH_SUFFIX = 57
_SUFFIX = re.compile(r"\.(json|xml)\Z")
# Bulk API 2.0 speaks JSON alone about its jobs.
_SPOKEN = re.compile(r"/services/data(?:/|/v\d+\.\d+(?!/jobs)(/.*)?)?\Z")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\+0000\Z")
_ROOTS = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"/?\Z", "urls"),
        (r"(?:/tooling)?/sobjects/?\Z", "DescribeGlobal"),
        (r"(?:/tooling)?/sobjects/(\w+)", ""),
        (r"(?:/tooling)?/query", "QueryResult"),
        (r"/(?:search|parameterizedSearch)", "SearchResults"),
        (r"/limits/?\Z", "LimitsSnapshot"),
        (r"/composite/tree", "SObjectTreeResponse"),
    )
)


def is_asked_for(incoming: Incoming) -> bool:
    """Whether a request to the REST API wants its answer in XML."""
    if not _SPOKEN.match(incoming.path):
        return False
    for accepted in incoming.headers.get("accept", "*/*").lower().split(","):
        kind = accepted.partition(";")[0].strip()
        if kind in {TYPE, _JSON}:
            return kind == TYPE
        if kind in {"*/*", "application/*"}:
            break
    return incoming.headers.get("content-type", "").lower().startswith(TYPE)


def is_understood(incoming: Incoming) -> bool:
    """Whether the body of a request to this address may be XML."""
    return bool(_SPOKEN.match(incoming.path))


def drop_suffix(incoming: Incoming, version: int, path: str) -> str:
    """Return a path without ``.json`` or ``.xml``, which stand for an Accept header up to v57."""
    found = _SUFFIX.search(path) if version <= _LAST_WITH_SUFFIX else None
    if found is None:
        return path
    incoming.headers["accept"] = f"application/{found[1]}"
    incoming.path = incoming.path.removesuffix(found[0])
    return path[: found.start()]


def read(content: bytes) -> dict[str, Any]:
    """Return a body as its JSON would be; texts stay texts."""
    root = xml_text.read(content)
    if root is None:
        raise fail(400, "XML_PARSER_ERROR", "The XML of the request body is not well formed")
    return _mapping(root)


def _mapping(element: Element) -> dict[str, Any]:
    values: dict[str, Any] = {}
    marks = {xml_text.local(name): text for name, text in element.attrib.items()}
    if marks:
        values["attributes"] = marks
    for one in element:
        name = xml_text.local(one.tag)
        value = None if xml_text.is_nil(one) else _mapping(one) if len(one) else (one.text or "")
        if name == "records":
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    return values


def spelled(incoming: Incoming, reply: Reply) -> Reply:
    """Return a reply with its body in XML; pages and empty bodies stay as they are."""
    if reply.body is NOTHING or isinstance(reply.body, bytes):
        return reply
    found = _SPOKEN.match(incoming.path)
    text = _document(reply.body, (found[1] if found else None) or "")
    return Reply(reply.status, text.encode(), reply.headers, _CONTENT_TYPE)


def _document(body: Any, path: str) -> str:
    if isinstance(body, list):
        first = body[0] if body and isinstance(body[0], dict) else {}
        many, one = ("Errors", "Error") if "errorCode" in first else ("Results", "Result")
        if "version" in first:
            many, one = "Versions", "Version"
        root, inside = many, _element(one, body)
    else:
        root = _root(body, path)
        inside = _element(root, body)
    nil = f' xmlns:xsi="{xml_text.INSTANCE}"' if "xsi:nil=" in inside else ""
    if isinstance(body, list):
        inside = f"<{root}>{inside}</{root}>"
    return '<?xml version="1.0" encoding="UTF-8"?>' + inside.replace(f"<{root}", f"<{root}{nil}", 1)


def _root(body: dict[str, Any], path: str) -> str:
    if "success" in body:
        return "Result"
    kind = (body.get("attributes") or {}).get("type")
    for pattern, name in _ROOTS:
        if found := pattern.match(path):
            return str(kind or name or found[1])
    return str(kind or "Response")


def _element(name: str, value: Any) -> str:
    """Spell a value: a list repeats the element, a record's attributes become the element's own."""
    if isinstance(value, list):
        return "".join(_element(name, one) for one in value)
    if value is None:
        return f'<{name} xsi:nil="true"/>'
    if isinstance(value, dict):
        marks, inside = "", dict(value)
        if isinstance(inside.get("attributes"), dict):
            marks = "".join(
                f" {key}={quoteattr(str(text))}" for key, text in inside.pop("attributes").items()
            )
        return f"<{name}{marks}>{''.join(_element(key, one) for key, one in inside.items())}</{name}>"
    # Times are spelled as in SOAP (facts/salesforce.md 9, "Precision").
    text = _STAMP.sub(r"\1Z", value) if isinstance(value, str) else value
    return f"<{name}>{xml_text.plain(text)}</{name}>"
