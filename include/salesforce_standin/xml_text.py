"""XML on the wire: read without entities, written with the few marks that the platform's own replies carry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
# What no document may contain (XML 1.0, 2.2), however it is written.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NIL, _TYPE = f"{{{INSTANCE}}}nil", f"{{{INSTANCE}}}type"


def read(content: bytes | str) -> Element | None:
    """Parse a document; None for one that can't be read."""
    data = content if isinstance(content, bytes) else content.encode()
    narrow = data.replace(b"\0", b"")  # UTF-16 hides nothing
    # Entities could blow up; no client sends them.
    if any(mark in narrow for mark in (b"<!DOCTYPE", b"<!ENTITY")):
        return None
    try:
        return ElementTree.fromstring(data)  # noqa: S314 - no entities: see above
    except (ElementTree.ParseError, LookupError, ValueError):  # the latter of an encoding that is unknown
        return None


def local(tag: str) -> str:
    """Return a tag without its namespace."""
    return tag.rpartition("}")[2]


def child(element: Element, name: str) -> Element | None:
    """Return the first child of a local name."""
    return next((one for one in element if local(one.tag) == name), None)


def texts(element: Element, name: str) -> list[str]:
    """Return the trimmed texts of every child of a local name."""
    return [(one.text or "").strip() for one in element if local(one.tag) == name]


def text(element: Element, name: str) -> str:
    """Return the trimmed text of the first child of a local name, or nothing."""
    return next(iter(texts(element, name)), "")


def flag(element: Element | None, name: str) -> bool:
    """Whether the first child of a local name says yes, in any case: some clients write "True"."""
    return element is not None and text(element, name).lower() in {"true", "1"}


def type_of(element: Element) -> str:
    """Return the local name in an element's xsi:type."""
    return element.get(_TYPE, "").rpartition(":")[2]


def is_nil(element: Element) -> bool:
    """Whether an element says that it has no value."""
    return element.get(_NIL) in {"true", "1"}


def bare(element: Element) -> Element:
    """Copy an element without namespaces, attributes, nil children and the space between tags."""
    copy = Element(local(element.tag))
    copy.extend(bare(one) for one in element if not is_nil(one))
    if not len(copy):
        copy.text = (element.text or "").strip() or None
    return copy


def inside(element: Element) -> str:
    """Spell the children of a bare element."""
    return "".join(ElementTree.tostring(one, encoding="unicode") for one in element)


def spell(name: str, value: Any) -> str:
    """Spell a value as an element: a list repeats it, a mapping nests, None leaves it out."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return "".join(spell(name, one) for one in value)
    if isinstance(value, Mapping):
        return f"<{name}>{elements(value)}</{name}>"
    return f"<{name}>{plain(value)}</{name}>"


def plain(value: Any) -> str:
    """Spell a single value."""
    return str(value).lower() if isinstance(value, bool) else escape(_ILLEGAL.sub("", str(value)))


def elements(values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> str:
    """Spell a mapping as elements, in its order."""
    pairs = values.items() if isinstance(values, Mapping) else values
    return "".join(spell(name, value) for name, value in pairs)
