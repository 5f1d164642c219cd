"""The watch: a change of state is told once, by mail and by webhook over real sockets, and kept until it is delivered."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from airflow.sdk.exceptions import AirflowFailException

from crm_airflow.operators.watch_operator import WatchOperator
from crm_sync.ledger import credentials, settings
from crm_sync.ledger.database import Database
from tests.crm_airflow.real import NAME, rows, running_hub

PAUSE = "update crm_sync.connection set active = false where name = %s"
RESUME = "update crm_sync.connection set active = true where name = %s"
ALERTS = [
    {"via": "mail", "to": ["ann@sales.example"], "conn_id": "mail_server"},
    {"via": "webhook", "conn_id": "chat"},
]


class Chat:
    """A chat that takes webhooks: what came in, and what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[str, str | None, dict[str, Any]]] = []
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                chat.got.append((self.path, self.headers["Authorization"], body))
                self.send_response(chat.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """A test's output is no place for it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


class Letters:
    """A mail server: the letters that came in."""

    def __init__(self) -> None:
        self.got: list[str] = []

    async def handle_DATA(  # noqa: N802
        self, _server: object, _session: object, envelope: Any
    ) -> str:
        """aiosmtpd asks for this name."""
        self.got.append(envelope.content.decode())
        return "250 OK"


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def mail_server(letters: Letters) -> Iterator[int]:
    controller = Controller(letters, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@pytest.fixture
def chat() -> Iterator[Chat]:
    found = Chat()
    Thread(target=found.server.serve_forever, daemon=True).start()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of its own: the watch looks at every connection there is, also at those that other tests left failing."""
    with running_hub(tmp_path_factory.mktemp("watched")) as url:
        yield url


@pytest.fixture
def told(watched: str, chat: Chat, letters: Letters, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A connection that is in order, with people to tell."""
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", watched)
    rows(watched, "truncate crm_sync.alert, crm_sync.alert_state")
    with closing(Database(watched)) as database, database.transaction() as tx:
        settings.change_settings(tx, NAME, {"alerts": ALERTS})
        settings.mark_provisioned(tx, NAME)
    with mail_server(letters) as port:
        mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": port,
                "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "crm@gptweb.example"}}  # fmt: skip
        hook = {"conn_type": "http", "host": f"http://127.0.0.1:{chat.server.server_port}", "password": "s3cret",
                "extra": {"path": "/hooks/T1"}}  # fmt: skip
        monkeypatch.setenv("AIRFLOW_CONN_MAIL_SERVER", json.dumps(mail))
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(hook))
        yield watched
    rows(watched, RESUME, NAME)


def watch() -> dict[str, int]:
    return WatchOperator(task_id="watch").execute({})


def test_a_change_is_told_everywhere_once_and_so_is_its_end(told: str, chat: Chat, letters: Letters) -> None:
    assert watch()["told"] == 0
    rows(told, PAUSE, NAME)
    assert watch()["told"] == 1
    assert watch()["told"] == 0
    rows(told, RESUME, NAME)
    assert watch()["told"] == 1
    paths, tokens, bodies = zip(*chat.got, strict=True)
    assert set(paths) == {"/hooks/T1"}
    assert set(tokens) == {"Bearer s3cret"}
    assert [(b["was"], b["state"]) for b in bodies] == [("healthy", "paused"), ("paused", "healthy")]
    assert bodies[0]["text"].startswith(f"CRM sync {NAME}: paused\n")
    assert "Resume it" in bodies[0]["remedy"]
    assert [f"Subject: CRM sync {NAME}: {end}" in letter for letter, end in zip(letters.got, ("paused", "recovered"), strict=True)] == [True, True]  # fmt: skip
    lines = rows(told, "select detail from crm_sync.audit_trail where rule = 'condition_changed'")
    assert len(lines) >= 2


def test_a_message_that_was_not_taken_is_sent_again_to_those_who_lack_it(
    told: str, chat: Chat, letters: Letters
) -> None:
    chat.status = 503
    rows(told, PAUSE, NAME)
    with pytest.raises(AirflowFailException, match="webhook chat answered 503") as caught:
        watch()
    assert "s3cret" not in str(caught.value)
    chat.status = 200
    assert watch()["told"] == 1
    assert watch()["told"] == 0
    assert (len(letters.got), len(chat.got)) == (1, 2)
    assert rows(told, "select tries, problem from crm_sync.alert") == [(2, None)]


def test_a_message_that_nobody_took_for_a_day_is_given_up_with_its_problem(told: str, chat: Chat) -> None:
    chat.status = 404
    rows(told, PAUSE, NAME)
    with pytest.raises(AirflowFailException):
        watch()
    rows(told, "update crm_sync.alert set tries = 287")
    with pytest.raises(AirflowFailException):
        watch()
    assert watch()["told"] == 0
    assert rows(told, "select closed_at is not null, problem ~ 'answered 404' from crm_sync.alert") == [
        (True, True)
    ]


def test_drift_is_told_unless_the_next_sync_carries_it_anyhow(told: str, chat: Chat) -> None:
    query = """with r as (insert into crm_sync.run (connection, kind, state) values ('salesforce_main', 'reconcile', 'succeeded')
        returning run_id)
      insert into crm_sync.reconciliation (run_id, connection, verdict, headline, differing, waiting, heal, healing, seconds,
        read_calls, notes) select run_id, 'salesforce_main', 'drifted', 'Drifted: 3 contacts differ.', 3, {}, 'safe', {}, 1, 1, '{{}}'
      from r returning run_id"""
    for waiting, healing in ((3, 0), (1, 2)):
        rows(told, query.format(waiting, healing))
        assert watch()["told"] == 0
    rows(told, query.format(1, 1))
    assert watch()["told"] == 1
    assert (chat.got[0][2]["state"], chat.got[0][2]["message"]) == ("drifting", "Drifted: 3 contacts differ.")
    rows(told, "delete from crm_sync.reconciliation")


@pytest.mark.parametrize("kind", ["reconcile", "undo", "provision", "backfill"])
def test_a_failed_run_of_any_kind_is_told_until_one_of_its_kind_ends_well(
    told: str, chat: Chat, kind: str
) -> None:
    ended = """insert into crm_sync.run (connection, kind, state, message, ended_at)
      values (%s, %s, %s, %s, clock_timestamp()) returning run_id"""
    (failed,) = rows(told, ended, NAME, kind, "failed", "the org said no")
    assert watch()["told"] == 1
    (_, _, body) = chat.got[0]
    assert (body["state"], body["message"].partition(" failed: ")[2]) == ("run_failed", "the org said no.")
    assert watch()["told"] == 0
    (succeeded,) = rows(told, ended, NAME, kind, "succeeded", None)
    assert watch()["told"] == 1
    assert chat.got[1][2]["state"] == "healthy"
    rows(told, "delete from crm_sync.run where run_id = any(%s)", [*failed, *succeeded])


def test_a_rotation_that_failed_is_told(told: str, chat: Chat) -> None:
    rows(told, "insert into crm_sync.credential (connection) values (%s) on conflict do nothing", NAME)
    with closing(Database(told)) as database, database.transaction() as tx:
        credentials.note_rotation(tx, NAME, "its key is in no ring")
    assert watch()["told"] == 1
    assert chat.got[0][2]["message"] == "The rotation of the vault's key failed: its key is in no ring"
    with closing(Database(told)) as database, database.transaction() as tx:
        credentials.note_rotation(tx, NAME, None)
    assert watch()["told"] == 1
