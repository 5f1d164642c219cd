"""Rows that are refused on demand, whether they come over REST or in a bulk job."""

from __future__ import annotations

from typing import Any

import orjson

from salesforce_standin.errors import Fault
from salesforce_standin.faults import ROW_KINDS, Faults


def refusal(faults: Faults, address: str, row: dict[str, Any]) -> Fault | None:
    """Return why a row is not written, if a rule hits it."""
    if not faults.any(ROW_KINDS):
        return None
    rule = faults.strike("ROW", address, orjson.dumps(row), ROW_KINDS)
    if rule is None:
        return None
    if rule.action == "refuse_rows":
        return Fault(rule.code, rule.message or rule.code, tuple(rule.fields))
    named = row.get("AccountId") or row.get("Id") or "<unknown>"
    message = rule.message or f"unable to obtain exclusive access to this record or 1 records: {named}"
    return Fault("UNABLE_TO_LOCK_ROW", message, ())
