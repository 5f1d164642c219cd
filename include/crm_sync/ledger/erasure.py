"""The right to erasure: one person's values leave GPTWeb's record, the ledger and the trail, and no read brings them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.errors import Missing, RetryLater
from crm_sync.ledger.database import Transaction
from crm_sync.model import Image

__all__ = ["Person", "Reach", "Twin", "erase", "kept_out", "people", "reach"]

UNKNOWN = "neither GPTWeb nor the audit trail knows a person {}; the tab's page Erase a person finds their id by e-mail"


@dataclass(frozen=True, slots=True)
class Person:
    """A contact or lead of ours; blank texts where nothing is held."""

    our_id: str
    object: str
    name: str
    email: str
    archived: bool


@dataclass(frozen=True, slots=True)
class Twin:
    """A record of a CRM that is one of these people; that CRM's users have to delete it."""

    connection: str
    object: str
    id: str


@dataclass(frozen=True, slots=True)
class Reach:
    """What an erasure would take: records of ours that links say to be one person, their twins, where anything is kept of them, and lines by kind."""

    people: tuple[Person, ...]
    twins: tuple[Twin, ...]
    connections: tuple[str, ...]
    changes: int
    decisions: int
    parked: int


def people(tx: Transaction, text: str, readable: Sequence[str]) -> list[Person]:
    """Whom a text means: our id, the id in the CRM of a readable connection, or the e-mail address of somebody who is not archived."""
    text = text.strip()
    rows = tx.rows(
        """select our_id::text from crm_sync.link where their_id = %(t)s and object in ('contact', 'lead')
          and connection = any(%(readable)s) and their_object in ('Contact', 'Lead')
        union select id::text from gptweb.contacts where crm_sync.match_text(email) = crm_sync.match_text(%(t)s) and deleted_at is null
        union select id::text from gptweb.leads where crm_sync.match_text(email) = crm_sync.match_text(%(t)s) and deleted_at is null""",
        {"t": text, "readable": list(readable)},
    )
    return _records(tx, [row[0] for row in rows] + ([text] if _is_id(text) else []))


def reach(tx: Transaction, our_id: UUID) -> Reach:
    """What erasing this person would take; Missing where nobody is known by this id."""
    ids = [row[0] for row in tx.rows(_SAME, {"id": our_id})]
    twins = tx.rows(
        """select l.connection, l.their_object, l.their_id from crm_sync.link l where l.our_id = any(%(ids)s::uuid[]) and l.their_id is not null
          union select f.connection, f.their_object, f.their_id from crm_sync.former f join crm_sync.link l using (link_id)
            where l.our_id = any(%(ids)s::uuid[])
          union select connection, their_object, their_id from crm_sync.stray where our_id = any(%(ids)s::uuid[]) order by 1, 2, 3""",
        {"ids": ids},
    )
    connections = tx.rows(_CONNECTIONS, {"ids": ids, "theirs": [row[2] for row in twins]})
    counts = tx.rows(
        """select (select count(*) from crm_sync.change where our_id = any(%(ids)s::uuid[]) and erased is null),
          (select count(*) from crm_sync.decision where our_id = any(%(ids)s::uuid[]) and erased is null),
          (select count(*) from crm_sync.parked p where lifted_at is null and exists (select 1 from crm_sync.link l
             where l.link_id = p.link_id and l.our_id = any(%(ids)s::uuid[])))""",
        {"ids": ids},
    )[0]
    found = _records(tx, ids)
    if not found and not counts[0]:
        raise Missing(UNKNOWN.format(our_id))
    return Reach(
        tuple(found), tuple(Twin(*row) for row in twins), tuple(row[0] for row in connections), *counts
    )


# As crm_sync.same_person has it, which the application may not call.
_SAME = """with recursive person (id) as (
    select %(id)s::uuid
    union
    select x.id from person p cross join lateral (
      select l.successor as id from crm_sync.link l where l.our_id = p.id and l.successor is not null
      union all
      select l.our_id from crm_sync.link l where l.successor = p.id) x)
  select id::text from person"""
# Whatever crm_sync.erase_person touches; its own lines stand in every connection and say nothing.
_CONNECTIONS = """select connection from crm_sync.link where our_id = any(%(ids)s::uuid[])
  union select connection from crm_sync.change where our_id = any(%(ids)s::uuid[])
  union select connection from crm_sync.decision where rule <> 'erasure' and (our_id = any(%(ids)s::uuid[]) or their_id = any(%(theirs)s))
  union select connection from crm_sync.parked where our_id = any(%(ids)s::uuid[]) or their_id = any(%(theirs)s)
  union select connection from crm_sync.stray where our_id = any(%(ids)s::uuid[]) or their_id = any(%(theirs)s) order by 1"""
_RECORDS = """select id::text, %(o)s, coalesce(concat_ws(' ', first_name, last_name), ''), coalesce(email, ''), deleted_at is not null
  from {} where id = any(%(ids)s::uuid[])"""


def _records(tx: Transaction, ids: Sequence[str]) -> list[Person]:
    found = []
    for object in ("contact", "lead"):
        query = sql.SQL(_RECORDS).format(sql.Identifier("gptweb", f"{object}s"))
        found += [Person(*row) for row in tx.rows(query, {"o": object, "ids": list(ids)})]
    return sorted(found, key=lambda one: (one.object, one.name, one.our_id))


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def erase(tx: Transaction, our_id: UUID, who: str, why: str) -> list[str]:
    """Erase the person of this contact or lead; returns what was done and what is left to do, in words.

    RetryLater while a run is under way.  What the CRM holds is its users' to delete; it is not read again.
    """
    if not tx.one(
        "select exists (select 1 from gptweb.contacts where id = %(id)s) or exists (select 1 from gptweb.leads where id = %(id)s) "
        "or exists (select 1 from crm_sync.change where our_id = %(id)s)",
        {"id": our_id},
    ):
        raise Missing(UNKNOWN.format(our_id))
    try:
        return [row[0] for row in tx.rows("select crm_sync.erase_person(%s, %s, %s)", (our_id, who, why))]
    except psycopg.errors.ObjectInUse as error:
        raise RetryLater(str(error.diag.message_primary)) from error


def kept_out(
    tx: Transaction, connection: str, mapping: ObjectMapping, strangers: Sequence[Image]
) -> list[Image]:
    """Of these records without a link those that may be stored: an erased person's is passed over."""
    if not strangers:
        return []
    rows = tx.rows(
        "select their_id from crm_sync.erased where their_id = any(%s) and their_object = %s and connection = %s",
        ([image.id for image in strangers], mapping.theirs, connection),
    )
    erased = {row[0] for row in rows}
    return [image for image in strangers if image.id not in erased]
