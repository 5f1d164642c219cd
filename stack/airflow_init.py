"""Run once per start, in Airflow's environment: its tables, and the Connection to the org (encrypted by Airflow).

The org comes on standard input as JSON, because command lines can be read by others.
"""

from __future__ import annotations

import json
import sys

from airflow.models import Connection
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select


def upsert(conn_id: str, org: dict[str, str]) -> None:
    """Make the Connection, or bring it to this org."""
    extra = {
        "instance_url": org["url"],
        "consumer_key": org["client_id"],
        "consumer_secret": org["client_secret"],
    }
    with create_session() as session:
        connection = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
        if connection is None:
            connection = Connection(conn_id=conn_id)
            session.add(connection)
        connection.conn_type = "salesforce"
        connection.description = "Made by `make up`; the org of the demo, or the one named by SALESFORCE_URL."
        connection.set_extra(json.dumps(extra))


if __name__ == "__main__":
    given = json.load(sys.stdin)
    initdb()
    upsert(given["conn_id"], given)
