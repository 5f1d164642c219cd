"""What goes wrong on demand, and what survives a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

import salesforce_standin
from tests.salesforce_standin.running import ADMIN_TOKEN, OPTIONS, Client, Running, token_of

INCLUDE = Path(salesforce_standin.__file__).parents[1]


class TestFaults:
    def test_reset_before_the_commit(self, client, admin):
        admin.post(
            "/standin/faults", {"action": "reset_before", "method": "POST", "path": "/sobjects/Account$"}
        )
        with pytest.raises(requests.ConnectionError):
            client.post("/sobjects/Account", {"Name": "A"})
        assert client.rows("SELECT Id FROM Account") == []
        client.create("Account", Name="A")

    def test_reset_after_the_commit(self, client, admin):
        admin.post("/standin/faults", {"action": "reset_after", "path": "/sobjects/Account"})
        with pytest.raises(requests.ConnectionError):
            client.post("/sobjects/Account", {"Name": "A"})
        assert client.rows("SELECT Name FROM Account") == [{"Name": "A"}]
        lost = admin.get("/standin/calls").json()["calls"][-2]
        assert (lost["status"], lost["rows_written"], lost["counted"]) == (0, 1, 1)

    def test_another_reply_counts_and_skips(self, client, admin):
        down = [{"message": "Server is too busy", "errorCode": "SERVER_UNAVAILABLE"}]
        admin.post(
            "/standin/faults",
            [{"action": "reply", "status": 503, "reply": down, "skip": 1, "count": 2, "path": "/limits"}],
        )
        replies = [client.get("/limits") for _ in range(4)]
        assert [reply.status_code for reply in replies] == [200, 503, 503, 200]
        assert replies[1].json() == down
        assert admin.get("/standin/faults").json()["faults"][0]["hits"] == 2

    def test_a_written_row_and_a_false_reply(self, client, admin):
        admin.post(
            "/standin/faults",
            {"action": "reply_after", "status": 500, "reply": [], "path": "/sobjects/Account"},
        )
        assert client.post("/sobjects/Account", {"Name": "A"}).status_code == 500
        assert client.rows("SELECT Name FROM Account") == [{"Name": "A"}]

    def test_delays(self, client, admin):
        admin.post("/standin/faults", {"action": "delay", "seconds": 0.3, "path": "/limits"})
        start = time.monotonic()
        client.get("/limits")
        assert time.monotonic() - start >= 0.3

    def test_a_truncated_body(self, client, admin):
        client.create("Account", Name="A")
        admin.post("/standin/faults", {"action": "truncate", "sent": 10, "path": "/query"})
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            client.query("SELECT Id FROM Account")

    def test_only_bodies_that_fit(self, client, admin):
        admin.post("/standin/faults", {"action": "reply", "status": 503, "body": "Beta"})
        client.create("Account", Name="Alpha")
        assert client.post("/sobjects/Account", {"Name": "Beta"}).status_code == 503

    def test_clearing_and_nonsense(self, client, admin):
        admin.post("/standin/faults", {"action": "reply", "count": 100})
        assert admin.delete("/standin/faults").status_code == 204
        assert client.get("/limits").status_code == 200
        assert admin.post("/standin/faults", {"action": "explode"}).status_code == 400
        assert admin.post("/standin/faults", {"action": "delay", "color": "red"}).status_code == 400

    def test_a_token_is_needed(self, standin):
        assert requests.get(f"{standin.base}/standin/calls", timeout=5).status_code == 401


class Process:
    """A stand-in in a process of its own, so that it can be killed."""

    def __init__(self, directory: Path, *options: str) -> None:
        command = [sys.executable, "-m", "salesforce_standin", "--data", str(directory), *OPTIONS, *options]
        environment = {**os.environ, "PYTHONPATH": str(INCLUDE)}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.base = self.output.readline().split()[-1]

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(10)
        self.output.close()


def test_everything_survives_a_kill(tmp_path):
    first = Process(tmp_path)
    token = token_of(first.base)
    client = Client(first.base, token)
    metadata = {"label": "Key", "type": "Text", "length": 9, "externalId": True, "unique": True}
    client.post("/tooling/sobjects/CustomField", {"FullName": "Account.Key__c", "Metadata": metadata})
    owner = client.create("PermissionSet", Name="S", Label="S")
    client.create(
        "FieldPermissions",
        ParentId=owner,
        SobjectType="Account",
        Field="Account.Key__c",
        PermissionsRead=True,
        PermissionsEdit=True,
    )
    me = client.get("/services/oauth2/userinfo").json()["user_id"]
    client.create("PermissionSetAssignment", AssigneeId=me, PermissionSetId=owner)
    made = client.patch("/sobjects/Account/Key__c/k1", {"Name": "Ä"}).json()["id"]
    stamps = client.rows("SELECT Id, SystemModstamp, Key__c, Owner.Name FROM Account")
    first.end(signal.SIGKILL)

    second = Process(tmp_path)
    client = Client(second.base, token)
    assert client.rows("SELECT Id, SystemModstamp, Key__c, Owner.Name FROM Account") == stamps
    assert client.patch("/sobjects/Account/Key__c/K1", {"Name": "B"}).json() == {
        "id": made, "success": True, "errors": [], "created": False,
    }  # fmt: skip
    assert client.create("Account", Name="C") > made
    admin = Client(second.base, ADMIN_TOKEN)
    assert admin.get("/standin/calls").json()["api_usage"] >= 8  # a kill may lose those of two seconds
    second.end()
    third = Process(tmp_path)
    assert Client(third.base, ADMIN_TOKEN).get("/standin/calls").json()["api_usage"] >= 8
    third.end()


def test_a_seed_is_planted_once(tmp_path):
    seed = tmp_path / "seed.json"
    seed.write_text(
        '[{"attributes": {"type": "Account", "referenceId": "a"}, "Name": "Acme"},'
        ' {"attributes": {"type": "Contact"}, "LastName": "L", "AccountId": "@a"}]'
    )
    for _ in range(2):
        running = Running("--data", str(tmp_path / "data"), "--seed", str(seed))
        admin = Client(running.base, ADMIN_TOKEN)
        rows = admin.rows("SELECT Account.Name, CreatedBy.Username FROM Contact")
        assert [(row["Account"]["Name"], row["CreatedBy"]["Username"]) for row in rows] == [
            ("Acme", "admin@gptweb.example")
        ]
        admin.http.close()
        running.stop()
