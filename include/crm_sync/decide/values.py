"""The canonical form of a field's value: one spelling per meaning, whichever side it came from.

Canonical values are JSON scalars and are also what goes over the wire: text as it stands, '' and null are blank,
numbers quantised to the field's scale (int at scale 0), booleans never blank, instants as UTC text in whole seconds,
because Salesforce keeps seconds (facts/salesforce.md 9).  Choices are each there once and in order, because a multi-select
picklist shows them in an order of its own, whatever order they came in.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal

from crm_sync.decide.mapping import FieldMapping
from crm_sync.model import Value

__all__ = ["canonical", "from_instant", "same", "to_instant"]


def canonical(field: FieldMapping, raw: object) -> Value:
    """The canonical value of what a store holds: JSON from the wire, or Python values from our database."""
    if field.type == "boolean":
        return bool(raw)
    if raw is None or raw == "":
        return None
    if field.type == "number":
        return _number(raw, field.scale)
    if field.type == "datetime":
        return from_instant(raw if isinstance(raw, datetime) else to_instant(str(raw)))
    if field.type == "choices":
        return _choices(str(raw))
    return str(raw)


def same(a: Value, b: Value) -> bool:
    """Whether two values mean the same although they may be spelt differently (outer blanks, line ends)."""
    if a == b:
        return True
    return isinstance(a, str) and isinstance(b, str) and _plain(a) == _plain(b)


def to_instant(text: str) -> datetime:
    """Parse an instant: ``2026-01-01T00:00:00.000+0000`` as Salesforce writes it, or any ISO 8601 form."""
    return datetime.fromisoformat(text).astimezone(UTC)


def from_instant(instant: datetime) -> str:
    """The canonical text of an instant, cut to whole seconds."""
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _number(raw: object, scale: int) -> int | float | None:
    # Salesforce truncates digits beyond the scale (facts/salesforce.md 9), so does the canonical form.
    if isinstance(raw, int):
        return raw if scale == 0 else float(raw)
    if scale and round(plain := float(str(raw)), scale) == plain:
        return plain
    number = Decimal(str(raw))
    if number.is_nan():  # Postgres has it, JSON and the CRMs have not
        return None
    exact = number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_DOWN)
    return float(exact) if scale else int(exact)


def _choices(text: str) -> str | None:
    return ";".join(sorted({choice.strip(" ") for choice in text.split(";")} - {""})) or None


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
