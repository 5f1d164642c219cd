"""What in the org will refuse or change our records: required fields, rules, and features that alter the objects; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crm_sync.decide.preflight_facts import Expectations, Facts, Unknown
from crm_sync.decide.preflight_line import CheckLine, listed, not_known, ok, warning

__all__ = ["feature_lines", "refusal_lines"]

_PLACE = re.compile(r"(.*(?:State|Country))", re.IGNORECASE)
_MANAGER = "Setup → Object Manager"


def refusal_lines(expected: Expectations, facts: Facts) -> Iterator[CheckLine]:
    """What refuses creates: parked with the reason, while everything else flows on."""
    yield _required(expected, facts)
    yield _duplicates(expected, facts)
    yield _validation(expected, facts)


def feature_lines(expected: Expectations, facts: Facts) -> Iterator[CheckLine]:
    """Features of the org that give the objects other fields or other rules."""
    yield _person_accounts(facts)
    yield _picklists(expected, facts)
    yield _currencies(expected, facts)


def _created(expected: Expectations) -> tuple[str, ...]:
    return tuple(dict.fromkeys(field.type for field in expected.wanted if field.object in expected.creates))


def _required(expected: Expectations, facts: Facts) -> CheckLine:
    line = ("required_fields", "Required fields")
    filled = {(field.type, field.name.lower()) for field in expected.wanted if field.writable}
    open_ = [
        f"{type_}.{name}"
        for type_ in _created(expected)
        if type_ in facts.types
        for name in facts.types[type_].required
        if (type_, name.lower()) not in filled
    ]
    if not open_:
        return ok(*line, "every field that a new record needs is mapped or has a default")
    return warning(
        *line,
        f"{listed(open_)}: required, without a default, and not mapped: every new record there will be refused and parked",
        f"In {_MANAGER} → the object → Fields & Relationships → the field, enter a default value or take back "
        "'Required'; or map it in the mapping file; or switch off the creation of these records.",
    )


def _duplicates(expected: Expectations, facts: Facts) -> CheckLine:
    line = ("duplicate_rules", "Duplicate rules")
    where = "Setup → Duplicate Rules"
    if isinstance(facts.duplicate_rules, Unknown):
        return not_known(*line, facts.duplicate_rules, f"See {where}.")
    active = [rule for rule in facts.duplicate_rules if rule.type in _created(expected)]
    if not active:
        return ok(*line, "none is active on the objects in which records are created")
    return warning(
        *line,
        f"active: {listed([f'{rule.type}: {rule.label}' for rule in active])}; where one blocks, a new record that looks "
        "like another is refused and parked (the API does not tell which ones block)",
        f"In {where} → the rule, choose 'Allow' as Action On Create, or add the condition 'Current User: Username not "
        "equal to' the integration user's.",
    )


def _validation(expected: Expectations, facts: Facts) -> CheckLine:
    line = ("validation_rules", "Validation rules")
    where = f"{_MANAGER} → the object → Validation Rules"
    rules = facts.validation_rules
    if isinstance(rules, Unknown):
        return not_known(*line, rules, f"See {where}.")
    if not rules:
        return ok(*line, "none is active")
    named = [f"{rule.type}: {rule.name} ('{rule.message}')" for rule in rules]
    return warning(
        *line,
        f"active: {listed(named, 5)}; a value of ours that breaks one is refused and parked",
        f"In {where}, exempt the integration user in the rule's formula where GPTWeb's values may break it: "
        'AND($User.Username <> "…", the present formula).',
    )


def _person_accounts(facts: Facts) -> CheckLine:
    line = ("person_accounts", "Person accounts")
    account = facts.types.get("Account")
    if account is None or "ispersonaccount" not in account.fields:
        return ok(*line, "off")
    return warning(
        *line,
        "on: a person account appears in GPTWeb both as an account and as a contact, and Salesforce refuses writes to "
        "its Name and to that contact, so they are parked",
        "Nothing is to do for business accounts. Names of person accounts are changed in Salesforce.",
    )


def _picklists(expected: Expectations, facts: Facts) -> CheckLine:
    line = ("state_country_picklists", "State and country picklists")
    strict = [
        f"{field.type}.{field.name}"
        for field in expected.wanted
        if field.writable and _PLACE.fullmatch(field.name) and field.type in facts.types
        if f"{field.name}Code".lower() in facts.types[field.type].fields
    ]
    if not strict:
        return ok(*line, "off, or no such field is mapped")
    return warning(
        *line,
        f"on: {listed(strict)} take the values of the org's lists alone; any other is refused and parked",
        "Compare GPTWeb's values with Setup → State and Country/Territory Picklists, and add there what is missing.",
    )


def _currencies(expected: Expectations, facts: Facts) -> CheckLine:
    line = ("currencies", "Multiple currencies")
    used = sorted({code for found in facts.types.values() for code in found.currencies})
    if not used:
        return ok(*line, "off")
    amounts = [
        f"{field.type}.{field.name}"
        for field in expected.wanted
        if field.type in facts.types
        if (seen := facts.types[field.type].fields.get(field.name.lower())) and seen.type == "currency"
    ]
    if not amounts:
        return ok(*line, f"on ({listed(used)}), but no amount is mapped")
    return warning(
        *line,
        f"on ({listed(used)}): amounts ({listed(amounts)}) travel as bare numbers, in the currency of the Salesforce record",
        "Give the integration user the currency that GPTWeb counts in (Setup → Users → the user → Currency): new records "
        "get it. Take amounts out of the mapping file where records have several currencies.",
    )
