"""A stand-in on a free port, served from a thread, and a client that speaks plain HTTP to it."""

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from aiohttp import web

from salesforce_standin import tls
from salesforce_standin.__main__ import open_org
from salesforce_standin.server import Server

ADMIN_TOKEN = "00D5g0000012345!admin.token"
CLIENT_ID, CLIENT_SECRET = "consumer-key", "consumer-secret"
VERSION = "66.0"
OPTIONS = [
    "--token", ADMIN_TOKEN, "--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET,
    "--password", "pass-word", "--security-token", "sec-token",
]  # fmt: skip


class Running:
    """A stand-in that serves from a thread of its own."""

    def __init__(self, *arguments: str, secure: tuple[Path, Path] | None = None) -> None:
        self.org = open_org([*OPTIONS, *arguments])
        self._secure = secure
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._runner = Server(self.org).runner()
        self._loop.run_until_complete(self._runner.setup())
        context = tls.context(self._secure[0].parent) if self._secure else None
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        self._loop.run_until_complete(site.start())
        self.port = self._runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()

    @property
    def base(self) -> str:
        return f"{'https' if self._secure else 'http'}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@dataclass
class Client:
    """One user's session."""

    base: str
    token: str
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.http.headers["Authorization"] = f"Bearer {self.token}"

    @property
    def root(self) -> str:
        return f"/services/data/v{VERSION}"

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        address = path if path.startswith(("/services", "/standin", "/id")) else self.root + path
        return self.http.request(method, self.base + address, timeout=20, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.call("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.call("POST", path, json=json, **options)

    def patch(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.call("PATCH", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.call("DELETE", path, **options)

    def query(self, soql: str, path: str = "/query", **options: Any) -> requests.Response:
        return self.get(path, params={"q": soql}, **options)

    def rows(self, soql: str, path: str = "/query") -> list[dict[str, Any]]:
        """Return the records of a query without their attributes."""
        reply = self.query(soql, path)
        assert reply.status_code == 200, reply.text
        return [{k: v for k, v in record.items() if k != "attributes"} for record in reply.json()["records"]]

    def create(self, kind: str, **values: Any) -> str:
        reply = self.post(f"/sobjects/{kind}", values)
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"])

    def composite(self, *requests_: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
        reply = self.post("/composite", {"compositeRequest": list(requests_), **options})
        assert reply.status_code == 200, reply.text
        answers: list[dict[str, Any]] = reply.json()["compositeResponse"]
        return answers


def token_of(base: str, session: Any = requests) -> str:
    form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    reply = session.post(f"{base}/services/oauth2/token", data=form, timeout=10)
    return str(reply.json()["access_token"])


def provide(client: Client, kind: str) -> None:
    """Add custom fields to an object and let the client see them."""
    fields = {
        "GPTWeb_Id": {"label": "GPTWeb Id", "type": "Text", "length": 36, "externalId": True, "unique": True},
        "Score": {"label": "Score", "type": "Number", "precision": 5, "scale": 2},
        "Is_DQL": {"label": "Is DQL", "type": "Checkbox", "defaultValue": "false"},
        "Last_Visit": {"label": "Last Visit", "type": "DateTime"},
    }
    sets = client.query("SELECT Id FROM PermissionSet WHERE Name = 'CRM_Sync'").json()["records"]
    owner = sets[0]["Id"] if sets else client.create("PermissionSet", Name="CRM_Sync", Label="CRM Sync")
    for name, metadata in fields.items():
        full_name = f"{kind}.{name}__c"
        reply = client.post("/tooling/sobjects/CustomField", {"FullName": full_name, "Metadata": metadata})
        assert reply.status_code == 201, reply.text
        client.create(
            "FieldPermissions",
            ParentId=owner,
            SobjectType=kind,
            Field=full_name,
            PermissionsRead=True,
            PermissionsEdit=True,
        )
    if not sets:
        me = client.get("/services/oauth2/userinfo").json()["user_id"]
        client.create("PermissionSetAssignment", AssigneeId=me, PermissionSetId=owner)
