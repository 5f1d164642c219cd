"""The application's role: it may do its work and add to the audit trail, and can't take anything out of it.

The role that owns the schema makes the migrations, and grants.  What only the owner's functions may do (begin a month,
drop an old one, erase a person) the application asks them for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import psycopg
from psycopg import sql

from crm_sync.errors import Misconfigured

__all__ = ["GUARDED", "TRAIL", "grant"]

TRAIL = ("change", "outcome", "decision", "spending", "seal", "sealed", "preflight")
"""Tables that the application adds to and reads."""
GUARDED = ("month", "retention", "erased")
"""Tables that it reads."""
FUNCTIONS = ("begin_month()", "analyze_changes()", "drop_months()", "erase_person(uuid, text, text)")


def grant(url: str, role: str) -> None:
    """Give ``role``, which must exist, what the application needs and no more; repeated after every migration."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "select rolsuper, pg_has_role(rolname, c.relowner, 'member') from pg_roles, pg_class c "
            "where rolname = %s and c.oid = 'crm_sync.change'::regclass",
            (role,),
        ).fetchone()
        if found is None:
            raise Misconfigured(
                f"there is no role {role} in the database: create it (create role {role} login password '…'), "
                "then migrate again"
            )
        if any(found):
            raise Misconfigured(
                f"role {role} is a superuser or owns the tables, so it could rewrite the audit trail: choose another for "
                "the application"
            )
        for statement in _statements(connection, role):
            connection.execute(statement)


def _statements(connection: psycopg.Connection, role: str) -> list[sql.Composed]:
    work = [name for name in _named(connection, "rp") if name not in (*TRAIL, *GUARDED)]
    who, everything = sql.Identifier(role), "select, insert, update, delete, maintain"
    return [
        sql.SQL("revoke all on all tables in schema crm_sync from {}").format(who),
        sql.SQL("grant usage on schema gptweb, crm_sync to {}").format(who),
        sql.SQL("grant usage on all sequences in schema crm_sync to {}").format(who),
        sql.SQL("grant select, insert, update, delete on all tables in schema gptweb to {}").format(who),
        _on(work, everything, who),
        _on(TRAIL, "select, insert", who),
        _on(GUARDED, "select", who),
        _on(_named(connection, "v"), "select", who),
        *(sql.SQL("grant execute on function {} to {}").format(sql.SQL(f"crm_sync.{name}"), who) for name in FUNCTIONS),
    ]  # fmt: skip


def _named(connection: psycopg.Connection, kinds: str) -> list[str]:
    rows = connection.execute(
        "select relname from pg_class where relnamespace = 'crm_sync'::regnamespace and strpos(%s, relkind::text) > 0 "
        "and not relispartition order by 1",
        (kinds,),
    )
    return [row[0] for row in rows]


def _on(tables: Sequence[str], rights: LiteralString, role: sql.Identifier) -> sql.Composed:
    names = sql.SQL(", ").join(sql.Identifier("crm_sync", name) for name in tables)
    return sql.SQL("grant {} on {} to {}").format(sql.SQL(rights), names, role)
