"""The Salesforce stand-in as a background service, and the org it serves."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import requests

from stack.errors import StackError
from stack.ports import LOOPBACK
from stack.processes import Processes, Service
from stack.settings import ROOT, Org, Settings

NAME = "salesforce-standin"
START_SECONDS = 30.0


def url(settings: Settings) -> str:
    """Its address."""
    return f"http://{LOOPBACK}:{settings.ports.salesforce}"


def org(settings: Settings) -> Org:
    """The org it serves, with the app of the integration user."""
    return Org(url(settings), settings.secrets.standin_client_id, settings.secrets.standin_client_secret)


def client_values(settings: Settings) -> dict[str, str]:
    """What ``.local/env`` says of it; the token is the sales administrator's."""
    return {
        "SALESFORCE_STANDIN_URL": url(settings),
        "SALESFORCE_STANDIN_TOKEN": settings.secrets.standin_token,
        "SALESFORCE_STANDIN_CLIENT_ID": settings.secrets.standin_client_id,
        "SALESFORCE_STANDIN_CLIENT_SECRET": settings.secrets.standin_client_secret,
        "SALESFORCE_STANDIN_PASSWORD": settings.secrets.standin_password,
    }


def start(settings: Settings, processes: Processes, base: Mapping[str, str]) -> None:
    """Start it with an empty org, or the one it kept, and wait until it answers."""
    kept = {name: value for name, value in base.items() if not name.startswith("SALESFORCE_")}
    where = ("--port", str(settings.ports.salesforce), "--data", str(settings.standin_data))
    command = (sys.executable, "-m", "salesforce_standin", *where, "--seed", "none")
    environment = {**kept, **client_values(settings), "PYTHONPATH": str(ROOT / "include")}
    processes.start(Service(NAME, command, environment))
    deadline = time.monotonic() + START_SECONDS
    while not answers(settings):
        processes.require([NAME])
        if time.monotonic() > deadline:
            raise StackError(f"The Salesforce stand-in does not answer: see {processes.log(NAME)}.")
        time.sleep(0.05)
    _register_callback(settings)


def _register_callback(settings: Settings) -> None:
    """Let the org send browsers back to this Airflow: its port may be another one than last time."""
    requests.patch(
        f"{url(settings)}/standin/apps/{settings.secrets.standin_client_id}",
        headers={"Authorization": f"Bearer {settings.secrets.standin_token}"},
        json={"redirect_uris": [f"{settings.airflow_url}/crm-sync/oauth/callback"]},
        timeout=10,
    ).raise_for_status()


def answers(settings: Settings) -> bool:
    """Whether it serves requests."""
    try:
        return requests.get(f"{url(settings)}/services/data/", timeout=2).ok
    except requests.RequestException:
        return False
