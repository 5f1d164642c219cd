"""Pairs that both sides know, by the hundred thousand: made past the sync, which would take an hour over a million.

Theirs come into the org by ingest jobs with our keys on them; ours, the links and the images are what a read then shows.
"""

from __future__ import annotations

import csv
import io
import os
import time
import uuid
from collections.abc import Sequence
from itertools import islice
from typing import Any

import psycopg
import requests

from bench.people import Values, measures, records, their_row
from bench.world import NAME, World
from crm_sync.access.app import App
from crm_sync.access.login import MemoryLogin
from crm_sync.access.oauth import OAuthEndpoint, identity
from crm_sync.access.transport import MeteredSession
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.database import OPTIONS, Database, Jsonb
from crm_sync.ledger.records import digest_of
from crm_sync.ledger.spending import LedgerMeter
from crm_sync.model import ChangedSince, Image, Object
from crm_sync.stores.salesforce import SalesforceStore

__all__ = ["pair"]

A_JOB = 200_000
"""Contacts of one job: some 80 MB of its data."""


def pair(made: World, object: Object, count: int) -> None:
    """So many records on both sides, linked and in step."""
    mapping = made.mappings[object]
    rows = (_with_key(mapping, n, row) for n, row in enumerate(records(object, count, "pair")))
    while some := list(islice(rows, A_JOB)):
        _ingest(made, mapping, some)
    os.environ["AIRFLOW_HOME"] = str(made.folder / "airflow")
    database = Database(made.database)
    endpoint = OAuthEndpoint(App(made.url, made.client_id, made.client_secret))
    with (
        MeteredSession(MemoryLogin(lambda: endpoint.fetch().session), LedgerMeter(database, NAME, None, "agent"), connection=NAME, purpose="bench") as session,
        psycopg.connect(made.database, options=OPTIONS) as connection,
    ):  # fmt: skip
        store = SalesforceStore(session, made.mappings, lambda: identity(session).user_id)
        connection.execute("set session_replication_role = replica")  # no trigger: nothing is news
        for page in store.read([ChangedSince(object)]):
            _link(connection, mapping, page.images)
        connection.execute(
            "insert into crm_sync.cursor (connection, object, position) values (%s, %s, now())",
            (NAME, object),
        )
    database.close()


def _with_key(mapping: ObjectMapping, number: int, row: Values) -> Values:
    key = str(uuid.UUID(int=number + 1))
    return {**their_row(mapping, row | measures(number)), mapping.key.theirs: key}


def _ingest(made: World, mapping: ObjectMapping, rows: Sequence[Values]) -> None:
    root = f"{made.url}/services/data/v66.0/jobs/ingest"
    headers = {"Authorization": f"Bearer {made.token}"}

    def call(method: str, path: str = "", **content: Any) -> requests.Response:
        reply = requests.request(
            method,
            root + path,
            headers=headers | {"Content-Type": "application/json"},
            timeout=600,
            **content,
        )
        reply.raise_for_status()
        return reply

    job = call(
        "POST",
        json={"object": mapping.theirs, "operation": "insert", "contentType": "CSV", "lineEnding": "LF"},
    ).json()["id"]
    headers["Content-Type"] = "text/csv"
    requests.put(f"{root}/{job}/batches", data=_sheet(rows), headers=headers, timeout=600).raise_for_status()
    call("PATCH", f"/{job}", json={"state": "UploadComplete"})
    while (state := call("GET", f"/{job}").json())["state"] not in ("JobComplete", "Failed", "Aborted"):
        time.sleep(1)
    if state["state"] != "JobComplete" or state["numberRecordsFailed"]:
        raise RuntimeError(f"the org did not take the records: {state}")


def _sheet(rows: Sequence[Values]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _link(connection: psycopg.Connection, mapping: ObjectMapping, images: Sequence[Image]) -> None:
    """A page of theirs as our records, links and images, exactly as if a sync had made them."""
    rows = [{"id": image.our_id, **image.values} for image in images]
    names = ", ".join(["id", *mapping.columns])
    connection.execute(
        f"insert into gptweb.{mapping.table} ({names}) select {names} from jsonb_populate_recordset(null::gptweb.{mapping.table}, %s)".encode(),
        (Jsonb(rows),),
    )
    links = (
        "connection", "object", "their_object", "our_id", "their_id", "state", "keyed", "dirty", "seen_stamp", "seen_recv", "seen_digest", "match_key"
    )  # fmt: skip
    with connection.cursor().copy(f"copy crm_sync.link ({', '.join(links)}) from stdin".encode()) as copy:
        for image in images:
            digest = digest_of(mapping, image.values, image.our_id, fate=image.fate)
            copy.write_row(
                (
                    NAME,
                    mapping.object,
                    mapping.theirs,
                    image.our_id,
                    image.id,
                    "live",
                    True,
                    False,
                    image.stamp,
                    0,
                    digest,
                    image.values["email"],
                )
            )
    connection.execute(
        """insert into crm_sync.image (link_id, base_ours, base_theirs, seen) select l.link_id, v.value - 'id', v.value - 'id', v.value - 'id'
        from jsonb_array_elements(%s) v cross join lateral (select l.link_id from crm_sync.link l
          where l.connection = %s and l.object = %s and l.our_id = (v.value ->> 'id')::uuid offset 0) l""",
        (Jsonb(rows), NAME, mapping.object),
    )
