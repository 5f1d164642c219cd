"""The second act: people edit linked records on one side, on both, and against each other."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from stack.mappings import Mapping, load
from stack.org_api import OrgApi
from stack.sample import Maker, Person
from stack.seed import copy_ours, create_theirs

TICK = 2.5  # seconds between two edits of one field: Salesforce stamps whole seconds
Pair = tuple[str, str]  # our id, their Id


@dataclass
class People:
    """Somebody at GPTWeb's database and somebody in the CRM."""

    database: str
    org: OrgApi

    def __post_init__(self) -> None:
        self._random = random.Random(7)
        self._mappings = load()
        self._maker = Maker(11)

    def work(self) -> dict[str, int]:
        """Edit; return how many records each kind of edit touched."""
        done: dict[str, int] = {}
        for name, mapping in self._mappings.items():
            pairs = self._linked(mapping)
            if len(pairs) < 100:
                continue
            groups = [[pairs.pop() for _ in range(size)] for size in (20, 20, 10, 8, 8, 6, 4)]
            self._one_side(mapping, groups[0], groups[1], done)
            self._both_sides(mapping, groups[2], done)
            self._against_each_other(mapping, groups[3], groups[4], done)
            self._measures_and_clears(mapping, groups[5], groups[6], done)
            self._newcomers(name, mapping, done)
        return done

    def _linked(self, mapping: Mapping) -> list[Pair]:
        soql = f"SELECT Id, {mapping.key} FROM {mapping.theirs} WHERE {mapping.key} != null ORDER BY Id"
        pairs = [(str(row[mapping.key]), str(row["Id"])) for row in self.org.query(soql)]
        self._random.shuffle(pairs)
        return pairs

    def _one_side(self, mapping: Mapping, here: list[Pair], there: list[Pair], done: dict[str, int]) -> None:
        self._ours(mapping, here, phone="+1 617 555 0100")
        self._theirs(mapping, there, Description='Called back: it\'s "urgent", said Ana 🚀\nsecond line')
        _count(done, "edited in GPTWeb only", here)
        _count(done, "edited in the CRM only", there)

    def _both_sides(self, mapping: Mapping, pairs: list[Pair], done: dict[str, int]) -> None:
        self._ours(mapping, pairs, phone="+1 617 555 0199")
        self._theirs(mapping, pairs, Description="Different fields on both sides: no conflict.")
        _count(done, "edited on both sides, different fields", pairs)

    def _against_each_other(
        self, mapping: Mapping, first: list[Pair], second: list[Pair], done: dict[str, int]
    ) -> None:
        self._ours(mapping, first, phone="+1 212 555 0001 (GPTWeb, first)")
        self._theirs(mapping, second, Phone="+1 212 555 0002 (CRM, first)")
        time.sleep(TICK)
        self._theirs(mapping, first, Phone="+1 212 555 0003 (CRM, later)")
        self._ours(mapping, second, phone="+1 212 555 0004 (GPTWeb, later)")
        _count(done, "the same field edited on both sides", first + second)

    def _measures_and_clears(
        self, mapping: Mapping, measured: list[Pair], cleared: list[Pair], done: dict[str, int]
    ) -> None:
        self._ours(mapping, measured, total_score=99.5, engagement_level="hot", visit_count=1000)
        self._theirs(mapping, measured[:2], GPTWeb_Engagement_Level__c="edited in the CRM")
        self._ours(mapping, cleared[:2], description=None)
        self._theirs(mapping, cleared[2:], Phone=None)
        _count(done, "new measures of GPTWeb", measured)
        _count(done, "a value cleared", cleared)

    def _newcomers(self, name: str, mapping: Mapping, done: dict[str, int]) -> None:
        here = [Person(name, self._fresh(name), None, self._uuid()) for _ in range(3)]
        there = [Person(name, None, self._fresh(name), self._uuid()) for _ in range(3)]
        with psycopg.connect(self.database) as connection:
            copy_ours(connection, mapping, here)
        create_theirs(self.org, mapping, there)
        _count(done, "new records", here + there)

    def _fresh(self, name: str) -> dict[str, Any]:
        made = self._maker.newcomer(name)
        for column, prefix in (("email", "late."), ("website", "https://late-"), ("name", "Late ")):
            if made.get(column):
                made[column] = prefix + str(made[column]).removeprefix("https://")
        return made

    def _uuid(self) -> str:
        with psycopg.connect(self.database) as connection:
            row = connection.execute("SELECT gen_random_uuid()").fetchone()
        return str(row[0]) if row else ""

    def _ours(self, mapping: Mapping, pairs: list[Pair], **values: Any) -> None:
        assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in values)
        statement = sql.SQL("UPDATE {} SET {} WHERE id = any(%s::uuid[])").format(
            sql.Identifier(*mapping.table.split(".")), assignments
        )
        with psycopg.connect(self.database) as connection:
            connection.execute(statement, [*values.values(), [our_id for our_id, _ in pairs]])

    def _theirs(self, mapping: Mapping, pairs: list[Pair], **values: Any) -> None:
        self.org.update(mapping.theirs, [{"Id": their_id, **values} for _, their_id in pairs])


def _count(done: dict[str, int], what: str, touched: list[Any]) -> None:
    done[what] = done.get(what, 0) + len(touched)
