"""Airflow as the signed-in user has it: its public API, asked inside this process with the user's own credentials.

So every rule of Airflow holds (roles, audit log, parameters of a DAG), and none of its internals is touched.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote

import httpx
from airflow.api_fastapi.core_api.security import GetUserDep
from anyio import from_thread
from fastapi import Depends, HTTPException, Request

from crm_sync.errors import Misconfigured, RetryLater

__all__ = ["AIRFLOW", "Airflow", "AirflowUser"]

AIRFLOW: Final = "crm_sync.airflow"
"""Where a request keeps the app that ours is mounted in."""
INHERITED: Final = ("authorization", "cookie")
SETUP_PATIENCE: Final = "Airflow makes the DAGs of a new connection within a minute: try again then."


class Airflow:
    """Airflow's API for the user of one request; for routes that are plain functions."""

    def __init__(self, request: Request, user: GetUserDep) -> None:
        self.user = user.get_name()
        self._app = request.scope[AIRFLOW]
        self._headers = {name: request.headers[name] for name in INHERITED if name in request.headers}

    def trigger(self, dag_id: str, once: str = "", **conf: Any) -> str:
        """Start a run of a DAG, or, asked again with the same ``once``, leave it at the one; gives its id."""
        asked: dict[str, Any] = {"logical_date": None, "conf": conf}
        if once:
            asked["dag_run_id"] = f"manual__{once}"
        reply = self._ask("POST", f"dags/{dag_id}/dagRuns", asked)
        if reply.status_code == HTTPStatus.NOT_FOUND:
            raise RetryLater(f"Airflow does not know the DAG {dag_id} yet. {SETUP_PATIENCE}")
        if once and reply.status_code == HTTPStatus.CONFLICT:
            reply = self._ask("GET", f"dags/{dag_id}/dagRuns/{asked['dag_run_id']}")
        return str(self._good(reply, f"starting {dag_id}")["dag_run_id"])

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """What Airflow knows of a DAG; None where it knows none (yet)."""
        reply = self._ask("GET", f"dags/{dag_id}")
        if reply.status_code == HTTPStatus.NOT_FOUND:
            return None
        return self._good(reply, f"looking at {dag_id}")

    def resume(self, dag_id: str) -> None:
        """Take back that somebody paused a DAG."""
        self._good(
            self._ask("PATCH", f"dags/{dag_id}?update_mask=is_paused", {"is_paused": False}),
            f"resuming {dag_id}",
        )

    def newest_run(self, dag_id: str) -> tuple[bool, dict[str, Any] | None]:
        """Whether Airflow knows the DAG, and its newest run."""
        reply = self._ask("GET", f"dags/{dag_id}/dagRuns?limit=1&order_by=-run_after")
        if reply.status_code == HTTPStatus.NOT_FOUND:
            return False, None
        found = self._good(reply, f"looking at the runs of {dag_id}")["dag_runs"]
        return True, found[0] if found else None

    def answer(self, dag_id: str, dag_run_id: str, option: str) -> None:
        """Give a run that asks a person (human in the loop) one of the answers that it offers."""
        run = f"dags/{quote(dag_id, safe='')}/dagRuns/{quote(dag_run_id, safe='')}"
        what = f"looking for the question of {dag_run_id}"
        found = self._good(self._ask("GET", f"{run}/hitlDetails?response_received=false"), what)[
            "hitl_details"
        ]
        asked = next((each for each in found if option in each["options"]), None)
        if asked is None:
            raise Misconfigured(
                f"Airflow's run {dag_run_id} of {dag_id} asks nothing like that now, or was answered already: look at it there."
            )
        task = asked["task_instance"]
        where = f"{run}/taskInstances/{task['task_id']}/{task['map_index']}/hitlDetails"
        self._good(self._ask("PATCH", where, {"chosen_options": [option]}), "the answer")

    def make_connection(self, name: str, extra: str, login: str = "") -> bool:
        """Store what a connection comes in with, encrypted by Airflow; False: there is one already, and it is left alone."""
        content = {"connection_id": name, "conn_type": "salesforce", "login": login or None, "extra": extra}
        reply = self._ask("POST", "connections", content)
        if reply.status_code == HTTPStatus.CONFLICT:
            return False
        self._good(reply, f"storing the Airflow connection {name}")
        return True

    def connection(self, conn_id: str) -> dict[str, Any] | None:
        """What Airflow says of one of its connections, without its password; None where there is none."""
        reply = self._ask("GET", f"connections/{conn_id}")
        if reply.status_code == HTTPStatus.NOT_FOUND:
            return None
        return self._good(reply, f"looking at the Airflow connection {conn_id}")

    def store_connection(self, conn_id: str, conn_type: str, **content: Any) -> None:
        """Make an Airflow connection, or change what is given of one; Airflow encrypts what is secret."""
        known = self.connection(conn_id) is not None
        given = {"connection_id": conn_id, "conn_type": conn_type, **content}
        address = f"connections/{conn_id}?" + "&".join(f"update_mask={name}" for name in content)
        reply = self._ask("PATCH", address, given) if known else self._ask("POST", "connections", given)
        self._good(reply, f"storing the Airflow connection {conn_id}")

    def _good(self, reply: httpx.Response, what: str) -> dict[str, Any]:
        if reply.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise HTTPException(reply.status_code)
        if reply.is_error:
            raise Misconfigured(f"Airflow refused {what} ({reply.status_code}): {_detail(reply)}")
        found: dict[str, Any] = reply.json()
        return found

    def _ask(self, method: str, path: str, content: Any = None) -> httpx.Response:
        return from_thread.run(self._send, method, path, content)

    async def _send(self, method: str, path: str, content: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://airflow", headers=self._headers
        ) as client:
            return await client.request(method, f"/api/v2/{path}", json=content)


def _detail(reply: httpx.Response) -> str:
    """What Airflow says of it; the values that were sent are left out, for they may be secret."""
    try:
        told: Any = reply.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return "it said nothing more"
    if isinstance(told, list):
        return "; ".join(f"{'.'.join(map(str, each.get('loc', ())))}: {each.get('msg', '')}" for each in told)
    return str(told.get("reason", "") if isinstance(told, dict) else told)[:300]


AirflowUser = Annotated[Airflow, Depends(Airflow)]
"""A parameter of this type gives a route Airflow's API."""
