"""Settings that a person changes: checked as a whole, merged, and told in the trail with the name and both values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crm_sync.errors import Misconfigured
from crm_sync.ledger import settings
from crm_sync.ledger.database import Database

NAME = "salesforce_main"
LINES = "select field, before, after, detail from crm_sync.audit_trail where rule = 'setting_changed' order by field"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    with found.transaction() as tx:
        settings.connect(tx, NAME, "salesforce", {})
    yield found
    found.close()


def change(database: Database, **chosen: object) -> None:
    with database.transaction() as tx:
        settings.change_settings(tx, NAME, chosen, "ann")


def lines(database: Database) -> list[tuple[object, ...]]:
    with database.transaction() as tx:
        return tx.rows(LINES)


def test_what_changed_is_told_with_both_values_and_the_name(database: Database) -> None:
    change(database, frequency="hourly", owner_id=None, batch_size=200)
    change(database, frequency="hourly")
    assert lines(database) == [("batch_size", 500, 200, "by ann"), ("frequency", "5min", "hourly", "by ann")]


def test_a_mapping_of_its_own(database: Database) -> None:
    change(
        database,
        mapping={
            "contact": {"fields": [{"ours": "title", "theirs": "Department"}], "without": ["department"]}
        },
    )
    with database.transaction() as tx:
        found = settings.load(tx, NAME).mappings["contact"]
    assert found.by_ours["title"].theirs == "Department"
    assert "department" not in found.by_ours
    ((field, before, after, _),) = lines(database)
    assert (field, before) == ("mapping", "{}")
    assert '"theirs":"Department"' in str(after)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"fields": [{"ours": "nickname", "theirs": "Nickname__c"}]}, "gptweb.contacts has no column nickname"),
        ({"without": ["email"]}, "mapping.contact: email is needed to match"),
        ({"fields": [{"ours": "title", "theirs": "Title", "policy": "loudest"}]}, r"mapping.contact.fields.0.policy"),
    ],
)  # fmt: skip
def test_a_mapping_that_no_run_could_use_changes_nothing(
    database: Database, chosen: object, words: str
) -> None:
    with pytest.raises(Misconfigured, match=words):
        change(database, mapping={"contact": chosen})
    assert lines(database) == []


def test_the_scope_is_checked_beside_the_mapping(database: Database) -> None:
    change(database, mapping={"contact": {"without": ["department"]}})
    scope = {"contact": {"ours": [{"field": "department", "op": "is blank"}]}}
    with pytest.raises(Misconfigured, match="department is not a mapped field"):
        change(database, scope=scope)
