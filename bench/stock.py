"""The other side: the same rows moved by Airflow's own SalesforceHook, SalesforceBulkOperator and PostgresHook.

Nothing of ours is imported here but the mapping's field names, which come in as words.
"""

# ruff: noqa: PLC0415  imports are part of what is measured: each stands where a task makes it

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from bench.importing import import_airflow

__all__ = ["pull", "push"]

CONNECTION = "salesforce_stock"


def push(words: list[str]) -> dict[str, Any]:
    """Every row of a table to the CRM: one task that reads them, one operator that upserts them by external id."""
    table, key, *pairs = words
    said: dict[str, Any] = dict(import_airflow())
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from airflow.providers.salesforce.operators.bulk import SalesforceBulkOperator

    hook: Any = PostgresHook(postgres_conn_id="gptweb")
    said["imports_cpu"] = time.process_time()
    columns = dict(pair.split("=", 1) for pair in pairs)
    rows = hook.get_records(f"select id::text, {', '.join(columns)} from {table}")
    names = [key, *columns.values()]
    payload = [dict(zip(names, map(_plain, row), strict=True)) for row in rows]
    results: list[Any] = []
    push = SalesforceBulkOperator(
        task_id="push", operation="upsert", object_name="Contact", payload=payload, external_id_field=key,
        salesforce_conn_id=CONNECTION,
    )  # fmt: skip
    context: Any = {"ti": SimpleNamespace(xcom_push=lambda **given: results.extend(given["value"]))}
    answered = push.execute(context)
    good = sum(bool(row["success"]) for row in answered or results)
    return said | {"rows": good}


def pull(words: list[str]) -> dict[str, Any]:
    """Every row of the CRM into a table: the hook's query, its data frame, and an insert by the Postgres hook."""
    table, *pairs = words
    said: dict[str, Any] = dict(import_airflow())
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from airflow.providers.salesforce.hooks.salesforce import SalesforceHook

    hook: Any = PostgresHook(postgres_conn_id="gptweb")
    said["imports_cpu"] = time.process_time()
    columns = dict(pair.split("=", 1) for pair in pairs)
    crm = SalesforceHook(CONNECTION)
    found = crm.make_query(f"SELECT Id, {', '.join(columns.values())} FROM Contact")
    frame = crm.object_to_df(found["records"])
    frame = frame.astype(object).where(frame.notna(), None)
    wanted = frame[["id", *(name.lower() for name in columns.values())]]
    hook.insert_rows(table, wanted.itertuples(index=False), target_fields=["their_id", *columns])
    return said | {"rows": len(frame)}


def _plain(value: Any) -> Any:
    """What JSON can say."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else float(value)
