"""A stand-in org of its own for one test, and the looks and mischief that tests of provisioning need."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from lxml import etree

from crm_sync.decide.schema import WantedField

INCLUDE = Path(__file__).parents[3] / "include"
ADMIN = "00D5g000000AbCd!admin"
PASSWORD = "long enough"
CLIENT = {"client_id": "client", "client_secret": "secret"}
SET_UP = ("PermissionSet", "ObjectPermissions", "FieldPermissions", "PermissionSetAssignment")


@dataclass
class Standin:
    """One org; everything here is done as the integration user, who is a clone of the administrator."""

    url: str
    token: str = ""

    def token_of(self, username: str) -> str:
        """A session of another user, by the login of older clients."""
        envelope = (
            '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
            '<login xmlns="urn:partner.soap.sforce.com">'
            f"<username>{username}</username><password>{PASSWORD}</password></login></e:Body></e:Envelope>"
        )
        reply = requests.post(
            f"{self.url}/services/Soap/u/64.0",
            data=envelope,
            headers={"Content-Type": "text/xml", "SOAPAction": "login"},
            timeout=10,
        )
        assert reply.status_code == 200, reply.text
        return reply.text.partition("<sessionId>")[2].partition("</sessionId>")[0]

    def seen_by(self, username: str, type_: str) -> dict[str, dict[str, Any]]:
        """The fields of an object as another user sees them."""
        other = Standin(self.url, self.token_of(username))
        return other.fields(type_)

    def hire(self, username: str, profile: str, *, active: bool = True) -> str:
        """A new user of a profile; returns the user's id."""
        profiles = self.query(f"SELECT Id FROM Profile WHERE Name = '{profile}'")
        user = {
            "Username": username,
            "Email": username,
            "LastName": username.partition("@")[0],
            "Alias": "sales",
            "ProfileId": profiles[0]["Id"],
            "IsActive": active,
            "LanguageLocaleKey": "en_US",
        }
        id_: str = self.ask("POST", "/sobjects/User", json=user)["id"]
        return id_

    def layouts(self) -> dict[str, Any]:
        """Every page layout as its tree."""
        found = requests.get(f"{self.url}/standin/layouts", headers=self._as_admin(), timeout=10).json()
        space = "http://soap.sforce.com/2006/04/metadata"
        xsi = "http://www.w3.org/2001/XMLSchema-instance"
        return {
            each["fullName"]: etree.fromstring(
                f'<Layout xmlns="{space}" xmlns:xsi="{xsi}">{each["xml"]}</Layout>'
            )
            for each in found["layouts"]
        }

    def spelled(self, layout: Any) -> bytes:
        """A layout's tree as bytes that compare."""
        return bytes(etree.tostring(layout, method="c14n"))

    def set_layout(self, full_name: str, layout: Any) -> None:
        """Replace a layout, as somebody does in Setup."""
        inside = "".join(etree.tostring(child, encoding="unicode") for child in layout)
        reply = requests.post(
            f"{self.url}/standin/layouts",
            json={"fullName": full_name, "xml": inside},
            headers=self._as_admin(),
            timeout=10,
        )
        assert reply.status_code < 300, reply.text

    def _as_admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {ADMIN}"}

    def integration_token(self) -> str:
        if not self.token:
            grant = {"grant_type": "client_credentials", **CLIENT}
            reply = requests.post(f"{self.url}/services/oauth2/token", data=grant, timeout=10)
            reply.raise_for_status()
            self.token = reply.json()["access_token"]
        return self.token

    def ask(self, method: str, path: str, **content: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.integration_token()}"}
        reply = requests.request(
            method, f"{self.url}/services/data/v66.0{path}", headers=headers, timeout=10, **content
        )
        assert reply.status_code < 300, reply.text
        return reply.json() if reply.content else None

    def query(self, soql: str, api: str = "") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.ask("GET", f"{api}/query", params={"q": soql})["records"]
        return rows

    def fields(self, type_: str) -> dict[str, dict[str, Any]]:
        return {field["name"]: field for field in self.ask("GET", f"/sobjects/{type_}/describe")["fields"]}

    def custom_fields(self) -> list[dict[str, Any]]:
        return self.query("SELECT Id, DeveloperName, TableEnumOrId FROM CustomField", "/tooling")

    def state(self) -> list[str]:
        """Everything that provisioning could change."""
        rows = [(name, row["Id"]) for name in SET_UP for row in self.query(f"SELECT Id FROM {name}")]
        return sorted(map(str, [*rows, *((row["TableEnumOrId"], row["Id"]) for row in self.custom_fields())]))

    def twins(self) -> list[str]:
        fields = Counter(f"{row['TableEnumOrId']}.{row['DeveloperName']}" for row in self.custom_fields())
        ours = "('GPTWeb_CRM_Sync', 'GPTWeb_Insights')"
        rows = self.query(f"SELECT ParentId, Field FROM FieldPermissions WHERE Parent.Name IN {ours}")
        sets = self.query(f"SELECT Id, Name FROM PermissionSet WHERE Name IN {ours}")
        people = self.query(
            "SELECT AssigneeId FROM PermissionSetAssignment WHERE PermissionSet.Name = 'GPTWeb_Insights'"
        )
        found = fields + Counter(f"{row['ParentId']} {row['Field']}" for row in rows)
        found += Counter(row["Name"] for row in sets) + Counter(row["AssigneeId"] for row in people)
        return [name for name, count in found.items() if count > 1]

    def missing(self, wanted: Sequence[WantedField]) -> list[str]:
        described = {type_: self.fields(type_) for type_ in {field.type for field in wanted}}
        return [
            f"{f.type}.{f.name}" for f in wanted if not described[f.type].get(f.name, {}).get("updateable")
        ]

    def add_field(self, full_name: str, metadata: dict[str, object], *, visible: bool) -> None:
        body = {"FullName": full_name, "Metadata": {"label": full_name, **metadata}}
        self.ask("POST", "/tooling/sobjects/CustomField", json=body)
        if visible:
            self.permit(full_name)

    def permit(self, full_name: str) -> None:
        """Let the integration user's profile see and edit a field."""
        row = {
            "ParentId": self.profile(),
            "SobjectType": full_name.partition(".")[0],
            "Field": full_name,
            "PermissionsRead": True,
            "PermissionsEdit": True,
        }
        self.ask("POST", "/sobjects/FieldPermissions", json=row)

    def forbid(self, *rights: str) -> None:
        """Take system permissions from the integration user's profile."""
        self.ask("PATCH", f"/sobjects/PermissionSet/{self.profile()}", json=dict.fromkeys(rights, False))

    def profile(self) -> str:
        """The permission set behind the integration user's profile."""
        rows = self.query(
            "SELECT PermissionSetId FROM PermissionSetAssignment WHERE PermissionSet.IsOwnedByProfile = true "
            f"AND AssigneeId = '{self.user_id()}'"
        )
        id_: str = rows[0]["PermissionSetId"]
        return id_

    def user_id(self) -> str:
        headers = {"Authorization": f"Bearer {self.integration_token()}"}
        id_: str = requests.get(f"{self.url}/services/oauth2/userinfo", headers=headers, timeout=10).json()[
            "user_id"
        ]
        return id_

    def hide(self, field: str) -> None:
        """Take a field from everybody's sight."""
        rows = self.query(f"SELECT Id, Field, SobjectType FROM FieldPermissions WHERE Field = '{field}'")
        assert rows, f"nobody sees {field}"
        for row in rows:
            self.ask("DELETE", f"/sobjects/FieldPermissions/{row['Id']}")

    def reset_schema(self) -> None:
        """Take away what provisioning made: a set that somebody has can't be deleted."""
        sets = "('GPTWeb_CRM_Sync', 'GPTWeb_Insights')"
        held = f"SELECT Id FROM PermissionSetAssignment WHERE PermissionSet.Name IN {sets}"
        for row in self.query(held):
            self.ask("DELETE", f"/sobjects/PermissionSetAssignment/{row['Id']}")
        for row in self.query(f"SELECT Id FROM PermissionSet WHERE Name IN {sets}"):
            self.ask("DELETE", f"/sobjects/PermissionSet/{row['Id']}")
        for row in self.custom_fields():
            self.ask("DELETE", f"/tooling/sobjects/CustomField/{row['Id']}")


@contextmanager
def start() -> Iterator[Standin]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "salesforce_standin",
        "--port",
        str(port),
        "--seed",
        "none",
        "--token",
        ADMIN,
    ]
    command += [
        "--password",
        PASSWORD,
        "--client-id",
        CLIENT["client_id"],
        "--client-secret",
        CLIENT["client_secret"],
    ]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(INCLUDE)}, stdout=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        yield Standin(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "the stand-in ended at once"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the stand-in does not answer")
