"""A column of GPTWeb's that is mapped has to be there, of a type that suits, and watched for edits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from crm_sync.__main__ import main
from crm_sync.decide.mapping import FieldMapping, FieldType
from crm_sync.decide.mapping_changes import MappingChanges, adjusted
from crm_sync.errors import Misconfigured
from crm_sync.ledger.capture import captured, check_columns, watch
from crm_sync.ledger.database import Database
from crm_sync.mapping_files import load_mappings
from crm_sync.model import OBJECTS

FILES = load_mappings("salesforce")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """With a column of its own, which no migration knows."""
    with psycopg.connect(database_url, autocommit=True) as client:
        (definition,) = client.execute(
            "select pg_get_functiondef('gptweb.stamp_contact()'::regprocedure)"
        ).fetchall()[0]
        client.execute("alter table gptweb.contacts add column nickname text")
        with closing(Database(database_url)) as found:
            yield found
        client.execute("alter table gptweb.contacts drop column nickname")
        client.execute(definition.encode())


def check(database: Database, kind: FieldType = "text") -> None:
    field = FieldMapping(ours="nickname", theirs="Nickname__c", type=kind)
    with database.transaction() as tx:
        check_columns(tx, adjusted(FILES, {"contact": MappingChanges(fields=(field,))})["contact"])


def test_all_fields_of_the_files_are_watched(database: Database) -> None:
    with database.transaction() as tx:
        for object in OBJECTS:
            check_columns(tx, FILES[object])
            assert captured(tx, object) >= set(FILES[object].columns)


def test_a_column_that_nobody_watches_is_refused_until_it_is(database: Database, database_url: str) -> None:
    with pytest.raises(Misconfigured, match=r"not captured.*python -m crm_sync capture contact nickname"):
        check(database)
    with database.transaction() as tx:
        assert watch(tx, "contact", "nickname")
    with database.transaction() as tx:
        assert not watch(tx, "contact", "nickname")
    check(database)
    with psycopg.connect(database_url, autocommit=True) as client:
        client.execute("insert into gptweb.contacts (last_name, nickname) values ('Doe', '')")
        client.execute("update gptweb.contacts set nickname = 'Jo'")
        row = client.execute("select version, changed_at ? 'nickname' from gptweb.contacts").fetchone()
    assert row == (2, True)


def test_a_type_that_does_not_suit_is_refused(database: Database) -> None:
    with pytest.raises(Misconfigured, match="nickname is of type text, but mapped as number"):
        check(database, "number")


def test_the_command(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", database_url)
    assert main(["capture", "contact", "nickname"]) == 0
    assert main(["capture", "contact", "nickname"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "edits of gptweb.contacts.nickname are captured",
        "edits of gptweb.contacts.nickname are captured already",
    ]
    assert main(["capture", "contact", "nonesuch"]) == 1
    assert "has no column nonesuch" in capsys.readouterr().err
