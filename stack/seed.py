"""Puts the example data where it begins: ours by COPY, theirs by REST as the sales administrator."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from stack.mappings import Mapping, load
from stack.org_api import OrgApi, Row
from stack.sample import Person, Sample


def seed(sample: Sample, database: str, org: OrgApi) -> None:
    """Write all records; accounts before the contacts that point to them."""
    mappings = load()
    with psycopg.connect(database) as connection:
        for name, mapping in mappings.items():
            copy_ours(connection, mapping, sample.of(name))
    for name, mapping in mappings.items():
        create_theirs(org, mapping, sample.of(name))


def copy_ours(connection: psycopg.Connection, mapping: Mapping, people: Sequence[Person]) -> None:
    """Our side of the records, in one COPY."""
    columns = ["id", *(field.ours for field in mapping.fields)]
    schema, table = mapping.table.split(".")
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for person in people:
            if person.ours is not None:
                account = person.account.our_id if person.account else None
                values = {**person.ours, "id": person.our_id, "account_id": account}
                copy.write_row([values.get(column) for column in columns])


def create_theirs(org: OrgApi, mapping: Mapping, people: Sequence[Person]) -> None:
    """Their side of the records; each learns its Id."""
    there = [person for person in people if person.theirs is not None]
    for person, their_id in zip(
        there, org.create(mapping.theirs, [_row(mapping, p) for p in there]), strict=True
    ):
        person.their_id = their_id


def _row(mapping: Mapping, person: Person) -> Row:
    values = {**(person.theirs or {}), "account_id": person.account.their_id if person.account else None}
    wanted = ((field.theirs, values.get(field.ours)) for field in mapping.fields if not field.created)
    return {name: value for name, value in wanted if value is not None}
