"""Invented records for the measurements: ordinary lengths, every text filled, always the same."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping

__all__ = ["Values", "copy_ours", "records", "their_row"]

Values = dict[str, Any]
TABLES = {"account": "accounts", "contact": "contacts", "lead": "leads"}
FIRST = ("Ada", "Bram", "Chloé", "Dmitri", "Élodie", "Farid", "Grace", "Hanna", "Igor", "Jana")
LAST = (
    "Lovelace",
    "O'Neill",
    "van der Berg",
    "Nakamura",
    "Smith",
    "Müller",
    "Garcia",
    "Kowalska",
    "Okafor",
    "Ivanova",
)
TITLES = ("Head of Purchasing", "CTO", "Account Manager", "Software Engineer", "VP Sales")
CITIES = (("London", "Greater London", "EC1A 1BB", "United Kingdom"), ("Zürich", "ZH", "8001", "Switzerland"))


def records(object: str, count: int, mark: str) -> Iterator[Values]:
    """Records of one object by our column names; ``mark`` keeps two sets of them apart."""
    pick = random.Random(f"{object} {mark}")
    for number in range(count):
        name = f"{mark}{number}"
        city, state, code, country = pick.choice(CITIES)
        address = {
            "street": f"{number} High Street",
            "city": city,
            "state": state,
            "postal_code": code,
            "country": country,
        }
        person = {
            "first_name": pick.choice(FIRST), "last_name": pick.choice(LAST), "email": f"{name}@{mark}.example",
            "title": pick.choice(TITLES),
        }  # fmt: skip
        shared = {
            "phone": f"+44 20 {pick.randint(1000, 9999)} {number:04}",
            "description": f"Met in {city}, spoke of {name}; call again.",
        }
        if object == "contact":
            mailing = {f"mailing_{part}": value for part, value in address.items()}
            yield (
                person
                | shared
                | mailing
                | {"mobile_phone": f"+44 7700 {number:06}", "department": "Research"}
            )
        elif object == "lead":
            yield (
                person
                | shared
                | address
                | {"company": f"Firm {name}", "website": f"https://{name}.example", "status": "Working"}
            )
        else:
            billing = {f"billing_{part}": value for part, value in address.items()}
            firm = {"name": f"Firm {name}", "website": f"https://{name}.example", "industry": "Energy"}
            yield firm | shared | billing | {"number_of_employees": number, "annual_revenue": number * 1000.5}


def measures(number: int) -> Values:
    """The six measures of GPTWeb."""
    return {
        "total_score": number % 10_000 / 100, "is_dql": number % 3 == 0, "visit_count": number % 400,
        "last_visit_at": f"2026-{number % 10 + 1:02}-{number % 28 + 1:02}T10:30:15Z", "engagement_level": "warm",
        "lead_source": "organic",
    }  # fmt: skip


def copy_ours(url: str, object: str, rows: Sequence[Values]) -> list[str]:
    """Our side of the records, with measures, in one COPY; returns their ids."""
    ids = [str(uuid.uuid4()) for _ in rows]
    whole = [
        {"id": our_id, **row, **measures(n)} for n, (our_id, row) in enumerate(zip(ids, rows, strict=True))
    ]
    if not whole:
        return ids
    names = list(whole[0])
    statement = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier("gptweb", TABLES[object]), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with psycopg.connect(url) as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in whole:
            copy.write_row([row[name] for name in names])
    return ids


def their_row(mapping: ObjectMapping, values: Values) -> Values:
    """A record by the CRM's names."""
    return {mapping.by_ours[column].theirs: value for column, value in values.items()}
