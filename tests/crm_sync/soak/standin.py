"""The same scenes against the Salesforce stand-in over a socket: its people work by REST, its own fault rules break things.

Left out: edits of GPTWeb's own fields, which people may not even see there; because a server's clock can't be turned from here: late stamps, jitter, requests served late, two CRMs; and
conversions, whose page is another one.  Leases are long, as in production, because the network takes real time.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from crm_sync.access.oauth import identity
from crm_sync.engine import Engine
from crm_sync.ledger.database import Database
from crm_sync.model import Image, Object, Value, Write
from crm_sync.stores.memory import MemoryStore
from crm_sync.stores.salesforce import SalesforceStore
from tests.crm_sync.engine.truth import OWNED
from tests.crm_sync.engine.world import MAPPINGS, Pool
from tests.crm_sync.provision.standin import Standin
from tests.crm_sync.soak.crm import NETWORK, READING
from tests.crm_sync.soak.fates import FullStage
from tests.crm_sync.soak.plot import COLUMNS, REFUSED, Fault, Scene, Schedule, Turn
from tests.crm_sync.stores.standin import PREFIXES, StandinOrg

__all__ = ["StandinStage", "adapted"]

WRITES, READS = 'composite/sobjects.*"marker"|GPTWeb_Sync_Marker__c":', "queryAll"
"""How the body of a call of ours shows what it does."""
ENOUGH = 9
"""More often than a call is repeated."""


def adapted(scene: Scene) -> Scene:
    """The scene without what can't be done here."""
    return replace(
        scene, crms=1, skew=0, jitter=False, spells=False, page_size=2000, turns=tuple(map(_turn, scene.turns)),
        direction=scene.direction, schedules=tuple(map(_schedule, scene.schedules)),
    )  # fmt: skip


def _turn(turn: Turn) -> Turn:
    others: dict[Fault, Fault] = {
        "kill, served late": "kill", "connection lost, served late": "connection lost", "machine sleeps": "lease runs out",
    }  # fmt: skip
    return replace(turn, fault=others.get(turn.fault, turn.fault), call=0, crm=0)


def _schedule(schedule: Schedule) -> Schedule:
    acts = tuple(
        replace(act, late=0, crm=0) for act in schedule.acts
        if act.verb != "converts" and (act.side == "ours" or act.column not in OWNED)
    )  # fmt: skip
    return replace(schedule, acts=acts)


class StandinStage(FullStage):
    """A scene whose CRM is the stand-in; an org is emptied before it."""

    lag, lease, late = 6, 180, 60

    def __init__(self, pool: Pool, scene: Scene, org: StandinOrg) -> None:
        self.org = org
        self.there = StandinCrm(org, scene.objects)
        super().__init__(pool, scene)
        self.now = datetime.now(UTC)

    @property
    def stores(self) -> dict[str, Any]:
        """The org."""
        return {"crm": self.there}

    def new_crm(self) -> Any:
        """The world has no CRM in memory; what it needs of one is the place where runs stand."""
        return MemoryStore(MAPPINGS)

    def engine(self, database: Database, crm: str) -> Engine:
        """An engine as the composition root makes it; its leases run by the world's clock, its time-outs by the real one."""
        session = self.org.session
        return Engine(
            database, MAPPINGS, lambda _connection, _run: SalesforceStore(session, MAPPINGS, lambda: identity(session).user_id),
            now=lambda: self.now, sleep=lambda _seconds: None, monotonic=time.monotonic,
        )  # fmt: skip


class StandinCrm:
    """What people see of the org and do in it, and what breaks on the way; as ``FaultyStore`` is asked."""

    page_size = 2000

    def __init__(self, org: StandinOrg, objects: tuple[Object, ...]) -> None:
        self.org = org
        self.objects = objects
        self._eyes = Standin(org.people.url)  # the integration user: people do not see our key
        self.happened: Counter[str] = Counter()
        self.unserved: list[tuple[Object, tuple[Write, ...]]] = []
        self.written = 0
        self._armed: dict[str, str] = {}
        self.calm()
        for mapping in MAPPINGS.values():
            org.people.empties(mapping.theirs)
        self._before = len(org.meter.booked)

    @property
    def calls(self) -> int:
        """How many were booked."""
        return len(self.org.meter.booked) - self._before

    # ------------------------------------------------------------------------------------------- what breaks

    def arm(self, fault: str, call: int) -> None:
        """What breaks in the coming run by itself."""
        self.mend()
        actions: dict[str, dict[str, Any]] = {
            "not sent": {"action": "reply", "error": "server_unavailable", "count": ENOUGH},
            "reply lost": {"action": "reset_after"},
            "connection lost": {"action": "reset_before"},
            "server down": {"action": "reply", "error": "down", "count": ENOUGH},
            "page missing": {"action": "truncate", "sent": 60, "count": ENOUGH},
        }
        if fault in actions:
            body = WRITES if fault in NETWORK else READS
            skip = call if fault in NETWORK else 0
            self._break(fault, method="POST", path="/composite$", body=body, skip=skip, **actions[fault])
        assert fault in (*NETWORK, *READING) or fault not in actions

    def _break(self, name: str, **rule: Any) -> None:
        self._armed[name] = rule["action"]
        self.org.people.breaks(**rule)

    def mend(self) -> None:
        """Nothing breaks any more; what did is counted."""
        for rule in self.org.people.ask("GET", "/standin/faults")["faults"]:
            for name, action in self._armed.items():
                if rule["action"] == action:
                    self.happened[name] += rule["hits"]
        self._armed.clear()
        self.org.people.mends()
        for name in (MAPPINGS["contact"].by_ours[column].theirs for column in REFUSED):
            self.org.people.breaks(
                action="refuse_rows", path="/REST/", body=f'"{name}": ?"bad', count=None, fields=[name],
                code="FIELD_CUSTOM_VALIDATION_EXCEPTION", message="not accepted",
            )  # fmt: skip

    calm = mend

    def lock(self, id: str, times: int) -> None:
        """Somebody holds a record."""
        ours = f"(?=.*GPTWeb_Sync_Marker__c)(?=.*{id[:15]})"
        self._break("locked row", action="lock_rows", path="/REST/", body=ours, count=times)

    # ------------------------------------------------------------------------------------------- people

    def render(self, _object: Object, _column: str, value: Value) -> Value:
        """Nothing is spelt another way."""
        return value

    def person_creates(self, object: Object, /, **values: Value) -> str:
        """Somebody makes a record."""
        return self.org.people.creates(object, **values)

    def person_edits(self, id: str, column: str, value: Value, *, stamp: object = None) -> None:
        """Somebody types a value."""
        self.org.people.edits(id, column, value)

    def person_deletes(self, id: str) -> None:
        """Somebody deletes a record."""
        self.org.people.deletes(id)

    def person_undeletes(self, id: str) -> None:
        """Somebody takes a record out of the recycle bin."""
        self.org.people.ask("POST", "/standin/records/undelete", json={"ids": [id]})

    def person_merges(self, loser: str, winner: str, *take: str) -> None:
        """Somebody merges two records; the winner takes these columns from the loser."""
        names = MAPPINGS[self.object_of(loser)].by_ours
        held = self.image(loser).values
        values = {names[column].theirs: held[column] for column in take}
        self.org.people.ask(
            "POST", "/standin/records/merge", json={"masterId": winner, "loserIds": [loser], "values": values}
        )

    # ------------------------------------------------------------------------------------------- looking

    def object_of(self, id: str) -> Object:
        """What a record is."""
        return next(object for object, prefix in PREFIXES.items() if id.startswith(prefix))

    def everybody(self, object: Object) -> list[str]:
        """The ids of all records of an object, deleted ones included."""
        return [image.id for image in self._asked(object, "")]

    def living(self) -> dict[str, Image]:
        """Records that are there."""
        found = (image for object in self.objects for image in self._asked(object, "WHERE IsDeleted = false"))
        return {image.id: image for image in found}

    def image(self, id: str) -> Image:
        """A record, deleted or not."""
        return self._asked(self.object_of(id), f"WHERE Id = '{id}'")[0]

    def _asked(self, object: Object, where: str) -> list[Image]:
        names = {column: MAPPINGS[object].by_ours[column].theirs for column in COLUMNS[object]}
        fields = ", ".join(
            ["Id", "IsDeleted", "MasterRecordId", "SystemModstamp", "GPTWeb_Id__c", *names.values()]
        )
        query = {"q": f"SELECT {fields} FROM {MAPPINGS[object].theirs} {where} ORDER BY Id"}
        reply = self._eyes.ask("GET", "/queryAll", params=query)
        assert reply["done"], "a scene has no more than a page of records"
        return [
            Image(
                row["Id"], {column: row[name] for column, name in names.items()},
                datetime.strptime(row["SystemModstamp"], "%Y-%m-%dT%H:%M:%S.%f%z"), row["GPTWeb_Id__c"],
                deleted=row["IsDeleted"], merged_into=row["MasterRecordId"],
            )
            for row in reply["records"]
        ]  # fmt: skip
