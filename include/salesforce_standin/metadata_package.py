"""A package of the Metadata API: the zip file that a deployment brings and a retrieval takes away."""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from salesforce_standin import xml_text
from salesforce_standin.metadata_envelope import SPACE

MANIFEST = "package.xml"
# META: files in a package, and its size once it is unpacked.
_MOST_FILES, _MOST_BYTES = 10_000, 400 * 1024 * 1024

# (type, full name); the name may be "*".
Member = tuple[str, str]


class BadPackage(Exception):
    """A package that can't be read as a whole."""


@dataclass(frozen=True, slots=True)
class Package:
    """What a deployment brings: files by path, what the manifest names, what is to be deleted before and after."""

    files: dict[str, bytes]
    named: list[Member]
    before: list[Member]
    after: list[Member]


def unpack(text: str, *, single: bool) -> Package:
    """Read the zip file of a deployment; without ``single`` everything lies in one folder."""
    files = _unzipped(text)
    if not single:
        files = {path.partition("/")[2]: content for path, content in files.items()}
    if MANIFEST not in files:
        raise BadPackage(f"No {MANIFEST} found")
    members = {name: _members(files, name) for name in _DELETIONS}
    after = members["destructiveChanges.xml"] + members["destructiveChangesPost.xml"]
    named = _members(files, MANIFEST)
    parts = {path: content for path, content in files.items() if path not in {MANIFEST, *_DELETIONS}}
    return Package(parts, named, members["destructiveChangesPre.xml"], after)


_DELETIONS = ("destructiveChanges.xml", "destructiveChangesPre.xml", "destructiveChangesPost.xml")


def _unzipped(text: str) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode("".join(text.split()), validate=True))) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > _MOST_FILES or sum(entry.file_size for entry in entries) > _MOST_BYTES:
                raise BadPackage("Maximum size of request reached")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (binascii.Error, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        raise BadPackage("The zip file can't be read") from None


def _members(files: dict[str, bytes], name: str) -> list[Member]:
    if name not in files:
        return []
    document = xml_text.read(files[name])
    if document is None:
        raise BadPackage(f"Error parsing file {name}")
    return list(members(document))


def members(document: Element) -> Iterator[Member]:
    """Yield what a manifest, or the like of it in a request, names."""
    for types in document:
        if xml_text.local(types.tag) == "types":
            kind = xml_text.text(types, "name")
            yield from ((kind, member) for member in xml_text.texts(types, "members"))


def manifest(found: list[Member], version: str) -> bytes:
    """Spell the manifest of what was retrieved."""
    kinds = sorted({kind for kind, _ in found})
    types = [{"members": sorted(n for k, n in found if k == kind), "name": kind} for kind in kinds]
    return document("Package", xml_text.elements({"types": types, "version": version}))


def document(tag: str, inside: str) -> bytes:
    """Spell a file."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{tag} xmlns="{SPACE}">{inside}</{tag}>\n'.encode()


def pack(files: dict[str, bytes]) -> str:
    """Return a zip file as text."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return base64.b64encode(target.getvalue()).decode()
