"""An administrator's rules for what may be saved: validation rules and duplicate rules (facts/salesforce.md 6).

A validation rule here refuses records whose fields all match its patterns; formulas are not evaluated. A duplicate rule
matches records that agree in all of its fields, whatever the case. Both are rows, so that clients can look them up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from salesforce_standin.errors import Fault, RowError
from salesforce_standin.tables import Row, Table

if TYPE_CHECKING:
    from salesforce_standin.org import Org

VALIDATION, DUPLICATE = "ValidationRule", "DuplicateRule"
_ALLOW = re.compile(r"allowSave\s*=\s*true", re.IGNORECASE)
_MESSAGE = "Use one of these records?"
_MOST_MATCHES = 10


def saves_duplicates(headers: Mapping[str, str]) -> bool:
    """Whether a request says that alerts of duplicate rules don't keep it from saving (facts 4.2)."""
    return bool(_ALLOW.search(headers.get("sforce-duplicate-rule-header", "")))


def check(org: Org, table: Table, row: Row, old: Row | None, *, allow_duplicates: bool) -> None:
    """Refuse a row that breaks one of the rules."""
    if not (org.tables[VALIDATION].rows or org.tables[DUPLICATE].rows):
        return
    name = table.sobject.name
    faults = [_violation(rule) for rule in _active(org, VALIDATION, name) if _breaks(rule, row)]
    if faults:
        raise RowError(*faults)
    for rule in _active(org, DUPLICATE, name):
        twins = _twins(table, rule, row, old)
        if twins and not (allow_duplicates and rule.get("_allow_save")):
            raise RowError(_duplicate(rule, name, twins))


def _active(org: Org, kind: str, name: str) -> Iterator[Row]:
    owner, active = ("EntityDefinitionId", "Active") if kind == VALIDATION else ("SobjectType", "IsActive")
    return (rule for rule in org.tables[kind].rows.values() if rule[owner] == name and rule[active])


def _breaks(rule: Row, row: Row) -> bool:
    patterns: dict[str, str] = rule.get("_when") or {}
    return bool(patterns) and all(
        re.fullmatch(pattern, _text(row.get(field))) for field, pattern in patterns.items()
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _violation(rule: Row) -> Fault:
    field = rule.get("ErrorDisplayField")
    return Fault("FIELD_CUSTOM_VALIDATION_EXCEPTION", rule["ErrorMessage"], (field,) if field else ())


def _twins(table: Table, rule: Row, row: Row, old: Row | None) -> list[Row]:
    """Return the live records that agree with a row in every field of a rule, if the row just came to do so."""
    names: list[str] = rule.get("_fields") or []
    key = [_text(row.get(name)).lower() for name in names]
    if not names or not all(key) or (old is not None and all(row.get(n) == old.get(n) for n in names)):
        return []
    first = names[0]
    near = (
        table.by_value(table.sobject.fields[first], row[first])
        if table.indexed(first)
        else table.rows.values()
    )
    return [
        other
        for other in near
        if other["Id"] != row["Id"]
        and not other.get("IsDeleted")
        and [_text(other.get(name)).lower() for name in names] == key
    ]


def _duplicate(rule: Row, name: str, twins: list[Row]) -> Fault:
    """Return the refusal with the body that only a single-row request shows (facts 6; "duplicateResut" is theirs)."""
    message = rule.get("_message") or _MESSAGE
    matches = [
        {
            "additionalInformation": [],
            "fieldDiffs": [],
            "matchConfidence": 100.0,
            "record": {
                "attributes": {"type": name, "url": f"/services/data/v66.0/sobjects/{name}/{twin['Id']}"},
                "Id": twin["Id"],
            },
        }
        for twin in twins[:_MOST_MATCHES]
    ]
    result = {
        "allowSave": bool(rule.get("_allow_save")),
        "duplicateRule": rule["DeveloperName"],
        "duplicateRuleEntityType": name,
        "errorMessage": message,
        "matchResults": [
            {
                "entityType": name,
                "errors": [],
                "matchEngine": "FuzzyMatchEngine",
                "matchRecords": matches,
                "rule": f"Standard_{name}_Match_Rule_v1_1",
                "size": len(matches),
                "success": True,
            }
        ],
    }
    return Fault("DUPLICATES_DETECTED", message, (), {"duplicateResut": result})
