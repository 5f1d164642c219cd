"""The statements: every value is escaped, every instant exact, no statement too long."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from crm_sync.mapping_files import load_mappings
from crm_sync.model import ById, ByMatchKey, ByOurKey, ChangedSince
from crm_sync.stores.salesforce_soql import fields_of, instant, quote, statements

MAPPINGS = load_mappings("salesforce")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("plain", "'plain'"),
        ("", "''"),
        ("O'Brien", r"'O\'Brien'"),
        ("back\\slash", r"'back\\slash'"),
        ("\\' OR Name != '", r"'\\\' OR Name != \''"),
        ('say "hi"', r"'say \"hi\"'"),
        ("two\nlines\r\n\ttab\b\f", r"'two\nlines\r\n\ttab\b\f'"),
        ("50% _x_", "'50% _x_'"),
        ("Zoë 🦊", "'Zoë 🦊'"),
    ],
)
def test_quote(text: str, literal: str) -> None:
    assert quote(text) == literal


@pytest.mark.parametrize(
    ("moment", "literal"),
    [
        (NOON, "2026-11-22T12:00:00Z"),
        (NOON.astimezone(timezone(timedelta(hours=9))), "2026-11-22T12:00:00Z"),
        (NOON + timedelta(microseconds=1), "2026-11-22T12:00:01Z"),
        (NOON + timedelta(seconds=59.5), "2026-11-22T12:01:00Z"),
    ],
)
def test_an_instant_rounds_up_because_stamps_are_whole_seconds(moment: datetime, literal: str) -> None:
    assert instant(moment) == literal


@pytest.mark.parametrize(
    ("since", "until", "where"),
    [
        (None, None, ""),
        (NOON, None, " WHERE SystemModstamp >= 2026-11-22T12:00:00Z"),
        (None, NOON, " WHERE SystemModstamp < 2026-11-22T12:00:00Z"),
        (
            NOON,
            NOON,
            " WHERE SystemModstamp >= 2026-11-22T12:00:00Z AND SystemModstamp < 2026-11-22T12:00:00Z",
        ),
    ],
)
def test_changes_are_read_in_the_order_of_their_stamps(
    since: datetime | None, until: datetime | None, where: str
) -> None:
    [soql] = statements(ChangedSince("lead", since, until), MAPPINGS["lead"])
    assert soql.endswith(f" FROM Lead{where} ORDER BY SystemModstamp, Id")


def test_every_field_is_asked_once() -> None:
    fields = [name.lower() for name in fields_of(MAPPINGS["contact"])]
    assert len(fields) == len(set(fields))
    assert {
        "id",
        "systemmodstamp",
        "isdeleted",
        "masterrecordid",
        "gptweb_id__c",
        "gptweb_sync_marker__c",
    } <= set(fields)
    assert {f.theirs.lower() for f in MAPPINGS["contact"].fields} <= set(fields)


def test_long_lists_are_cut() -> None:
    lines = statements(ByOurKey("contact", tuple(f"{n:036d}" for n in range(1200))), MAPPINGS["contact"])
    assert [line.count("'") // 2 for line in lines] == [500, 500, 200]
    assert max(map(len, lines)) < 100_000


def test_long_keys_are_cut_earlier() -> None:
    lines = statements(
        ByMatchKey("contact", tuple(f"{n}{'x' * 250}" for n in range(500))), MAPPINGS["contact"]
    )
    assert len(lines) > 1
    assert max(map(len, lines)) < 45_000


def test_a_key_is_asked_once() -> None:
    [line] = statements(ById("contact", ("003A", "003A", "003B")), MAPPINGS["contact"])
    assert line.endswith(" WHERE Id IN ('003A','003B')")


def test_no_keys_are_no_statement() -> None:
    assert statements(ByMatchKey("contact", ()), MAPPINGS["contact"]) == []


def test_contacts_match_by_email() -> None:
    [line] = statements(ByMatchKey("contact", ("a@x.example", "o'b@x.example")), MAPPINGS["contact"])
    assert line.endswith(r" WHERE (Email IN ('a@x.example','o\'b@x.example')) AND IsDeleted = false")


def test_accounts_match_by_the_spellings_of_a_domain_or_by_name() -> None:
    [line] = statements(ByMatchKey("account", ("acme.example", "Acme Inc.")), MAPPINGS["account"])
    where = line.partition(" WHERE ")[2]
    assert where.endswith("OR Name IN ('acme.example','Acme Inc.')) AND IsDeleted = false")
    sites = re.findall(r"'([^']+)'", where.partition(" OR ")[0])
    assert sorted(sites) == sorted(
        f"{start}{host}{end}"
        for start in ("", "http://", "https://")
        for host in ("acme.example", "www.acme.example")
        for end in ("", "/")
    )
    [line] = statements(ByMatchKey("account", ("Acme",)), MAPPINGS["account"])
    assert line.endswith(" WHERE (Name IN ('Acme')) AND IsDeleted = false")
