"""Seals what must not be read at rest: JWE compact, AES-256-CBC with HMAC-SHA-512, bound to its connection and purpose.

Pure: the keys come as text, from the environment or from Airflow's secrets backend; nothing here knows of a database.
"""

from __future__ import annotations

import os
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

import orjson
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.registry import HeaderParameter

from crm_sync.errors import Misconfigured

__all__ = ["KEYS_VARIABLE", "KeyRing", "Purpose", "Vault", "new_entry"]

KEYS_VARIABLE: Final = "CRM_SYNC_VAULT_KEYS"
NEW_KEY: Final = "python -m crm_sync vault new-key"
KEY_BYTES: Final = 64  # half for the HMAC, half for AES-256 (RFC 7518, 5.2.5)
KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
ALGORITHMS: Final = {"alg": "dir", "enc": "A256CBC-HS512"}
REGISTRY: Final = jwe.JWERegistry(
    header_registry={
        "connection": HeaderParameter("The connection it belongs to", "str", required=True),
        "purpose": HeaderParameter("What it is for", "str", required=True),
    },
    algorithms=list(ALGORITHMS.values()),
)

Purpose = Literal["tokens", "code verifier"]
"""What a sealed value is for: it opens for nothing else."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id, in their order: the first seals, each opens what it has sealed."""

    keys: Mapping[str, bytes] = field(repr=False)

    @property
    def first(self) -> str:
        """The id of the key that seals."""
        return next(iter(self.keys))

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """From ``id:key,id:key``, each key 64 bytes in base64url; Misconfigured names the id, never the key."""
        keys: dict[str, bytes] = {}
        for place, entry in enumerate(filter(None, re.split(r"[,\s]+", text)), start=1):
            key_id, _, encoded = entry.partition(":")
            if not encoded or not KEY_ID.fullmatch(key_id):
                raise Misconfigured(
                    f"entry {place} of {KEYS_VARIABLE} is not of the form id:key; make one with: {NEW_KEY}"
                )
            if key_id in keys:
                raise Misconfigured(f"{KEYS_VARIABLE} has two keys of the id {key_id!r}: give one another id")
            keys[key_id] = _key(key_id, encoded)
        if not keys:
            raise Misconfigured(
                f"{KEYS_VARIABLE} is not set, so no token can be kept: make a key with: {NEW_KEY}, keep a copy of it "
                "in a safe place, and give it to every process of Airflow"
            )
        return cls(MappingProxyType(keys))

    @classmethod
    def from_environment(cls) -> KeyRing:
        """The ring of this process's environment."""
        return cls.parse(os.environ.get(KEYS_VARIABLE, ""))


def new_entry(key_id: str) -> str:
    """A fresh entry for a ring."""
    return f"{key_id}:{urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode().rstrip('=')}"


class Vault:
    """Seals and opens JSON objects with one ring."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring

    def seal(self, connection: str, purpose: Purpose, payload: Mapping[str, Any]) -> str:
        """The payload under the ring's first key, readable for this connection and purpose only."""
        header = _header(self.ring.first, connection, purpose)
        key = OctKey.import_key(self.ring.keys[self.ring.first])
        return jwe.encrypt_compact(header, orjson.dumps(payload), key, registry=REGISTRY)

    def open(self, connection: str, purpose: Purpose, sealed: str) -> dict[str, Any]:
        """The payload; Misconfigured when any byte was changed, it is somebody else's, or its key is missing."""
        what = f"the stored {purpose} of connection {connection}"
        key_id = self.key_of(sealed)
        if key_id is None:
            raise Misconfigured(f"{what}: this is no sealed value, so it was changed; connect again")
        if key_id not in self.ring.keys:
            raise Misconfigured(
                f"{what} need vault key {key_id!r}, which is not in the ring ({', '.join(self.ring.keys)}): put it "
                f"back into {KEYS_VARIABLE}, or connect again"
            )
        try:
            opened = jwe.decrypt_compact(sealed, OctKey.import_key(self.ring.keys[key_id]), registry=REGISTRY)
            payload: dict[str, Any] = orjson.loads(opened.plaintext or b"")
        except (JoseError, ValueError):  # a wrong padding is a ValueError; none of them is told apart
            raise Misconfigured(
                f"{what} can't be opened with vault key {key_id!r}: they were changed, or the ring has another key "
                f"under that id; put the right one into {KEYS_VARIABLE}, or connect again"
            ) from None
        if opened.protected != _header(key_id, connection, purpose):
            raise Misconfigured(
                f"{what} belong to another connection or purpose, so the row was copied; connect again"
            )
        return payload

    @staticmethod
    def key_of(sealed: str) -> str | None:
        """The id of the key that a value was sealed with; None when this is no sealed value.

        Base64url has several spellings of the same bytes; only the one that ``seal`` writes is accepted.
        """
        parts = sealed.split(".")
        try:
            canonical = [_encoded(_decoded(part)) for part in parts]
            header = orjson.loads(_decoded(parts[0]))
        except ValueError:
            return None
        key_id = header.get("kid") if isinstance(header, dict) else None
        # A direct key is in the ring, never in the value (RFC 7516, 5.2): the second part has to be empty.
        whole = len(parts) == 5 and not parts[1] and canonical == parts
        return key_id if whole and isinstance(key_id, str) and KEY_ID.fullmatch(key_id) else None


def _header(key_id: str, connection: str, purpose: Purpose) -> dict[str, str]:
    return {**ALGORITHMS, "kid": key_id, "connection": connection, "purpose": purpose}


def _key(key_id: str, encoded: str) -> bytes:
    try:
        key = _decoded(encoded.rstrip("="))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Misconfigured(
            f"vault key {key_id!r} of {KEYS_VARIABLE} is not {KEY_BYTES} bytes in base64url; make one with: {NEW_KEY}"
        )
    return key


def _decoded(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (NoBase64, UnicodeEncodeError) as error:
        raise ValueError from error


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")
