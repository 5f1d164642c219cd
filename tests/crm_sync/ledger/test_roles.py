"""The application's role: it can do its work, and can't take anything out of the audit trail."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from crm_sync.errors import Misconfigured
from crm_sync.ledger import runs, trail
from crm_sync.ledger.database import Database
from crm_sync.ledger.erasure import erase
from crm_sync.ledger.months import keep_house
from crm_sync.ledger.roles import TRAIL, grant
from crm_sync.ledger.verify import verify
from tests.crm_sync.ledger.test_months import OUTCOME, add_rows, add_run, database_at


@pytest.fixture(scope="module")
def role(postgres_server: str) -> Iterator[tuple[str, str]]:
    """A role with a password, as a DBA would make it."""
    name, password = f"app_{secrets.token_hex(4)}", secrets.token_hex(8)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("create role {} login password {}").format(sql.Identifier(name), sql.Literal(password))
        )
    yield name, password
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def owner(postgres_server: str, role: tuple[str, str]) -> Iterator[str]:
    """A migrated database of which the role may use what it needs."""
    with database_at(postgres_server, "head") as url:
        grant(url, role[0])
        with psycopg.connect(url) as client:
            add_run(client)
            add_rows(client)
            client.execute("update crm_sync.run set state = 'failed', ended_at = clock_timestamp()")
        yield url


@pytest.fixture(scope="module")
def app(owner: str, role: tuple[str, str]) -> str:
    """The address of that database for the application."""
    host = owner.rsplit("@", 1)[1]
    return f"postgresql://{role[0]}:{role[1]}@{host}"


FORBIDDEN = (
    *(f"{what} crm_sync.{table}{rest}" for table in TRAIL for what, rest in (
        ("delete from", ""), ("truncate", ""), ("alter table", " disable trigger all"), ("drop table", ""))),
    "update crm_sync.change set after = '{}'",
    "update crm_sync.outcome set outcome = 'parked'",
    "update crm_sync.decision set rule = 'x'",
    "update crm_sync.spending set purpose = 'x'",
    "update crm_sync.seal set head = ''",
    "update crm_sync.sealed set salts = ''",
    "delete from crm_sync.change_0", "truncate crm_sync.outcome_0", "drop table crm_sync.change_0",
    "alter table crm_sync.change detach partition crm_sync.change_0",
    "drop trigger append_only on crm_sync.change",
    "set session_replication_role = replica",
    "create or replace function crm_sync.refuse_rewrite() returns trigger language plpgsql as $$begin return null; end$$",
    "update crm_sync.retention set keep = '1 day'",
    "update crm_sync.month set began_at = '2000-01-01'",
    "delete from crm_sync.erased",
    "select setval('crm_sync.change_change_id_seq', 1)",
    "select crm_sync.erase_from_trail('{}', '{}')",
    "select crm_sync.take_salt('change', 1, 1, 'one')",
    "select crm_sync.make_month(9)",
    "create table crm_sync.mine (x integer)",
)  # fmt: skip


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_application_may_not(app: str, statement: str) -> None:
    with psycopg.connect(app, autocommit=True) as client:
        client.execute("select set_config('crm_sync.rewrite', 'on', false)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.execute(statement.encode())


def test_the_application_does_its_work(app: str) -> None:
    with closing(Database(app)) as database:
        with database.transaction() as tx:
            run_id = runs.insert(tx, "one", "sync", "now", {})
            trail.plan(tx, run_id, "one", [
                trail.Change("contact", "ours", "create", None, "00000000-0000-0000-0000-000000000001", "003A", {}, {"title": "x"}, {}, {"*": "r"})
            ])  # fmt: skip
            change_id = tx.one("select max(change_id) from crm_sync.change")
            tx.run(OUTCOME, (change_id,))
            tx.run("select crm_sync.analyze_changes()")
            tx.run("analyze crm_sync.link, crm_sync.outbox, crm_sync.image (link_id)")
            tx.run("insert into gptweb.contacts (last_name) values ('Kern')")
            assert tx.one("select count(*) from crm_sync.outbox") == 1
            assert runs.close(tx, run_id, "succeeded", None, None) is not None
            assert tx.one("select count(*) from crm_sync.audit_trail where run_id = %s", (run_id,)) == 0
            tx.run("select * from crm_sync.run_summary")
        assert keep_house(database).month == 0
        with database.transaction() as tx:
            assert erase(tx, UUID("00000000-0000-0000-0000-000000000001"), "ann", "asked")[-1].startswith(
                "erased: 0 records"
            )
        assert verify(database).findings == []


def test_a_superuser_or_the_owner_is_no_role_for_the_application(owner: str) -> None:
    with psycopg.connect(owner) as client:
        row = client.execute("select current_user").fetchone()
    assert row is not None
    with pytest.raises(Misconfigured, match="could rewrite the audit trail"):
        grant(owner, str(row[0]))
    with pytest.raises(Misconfigured, match="there is no role nobody_here"):
        grant(owner, "nobody_here")
