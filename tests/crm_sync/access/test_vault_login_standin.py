"""Logins against the stand-in over a socket: expiry under many processes, rotation, and orgs that let nobody in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from crm_sync.access import connecting
from crm_sync.access.app import App
from crm_sync.access.oauth import OAuthEndpoint
from crm_sync.access.transport import MeteredSession
from crm_sync.access.vault import KeyRing, Vault, new_entry
from crm_sync.access.vault_login import VaultLogin
from crm_sync.errors import Misconfigured, ReconnectNeeded, SessionExpired
from crm_sync.ledger import credentials, settings
from crm_sync.ledger.database import Database
from tests.crm_sync.access.conftest import Book
from tests.crm_sync.access.processes import workers
from tests.crm_sync.access.worker import NAME, login_of
from tests.salesforce_standin.browser import PASSWORD, Browser
from tests.salesforce_standin.running import ADMIN_TOKEN, CLIENT_ID, CLIENT_SECRET, Client, Running

KEYS = new_entry("k1")
VAULT = Vault(KeyRing.parse(KEYS))
USER = "integration@gptweb.example"
CALLBACK = "https://airflow.example/crm-sync/oauth/callback"
DAWN, DUSK = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
LIMITS = "/services/data/v66.0/limits"


@dataclass
class Scene:
    """An org, its administrator, the ledger, and our ways in."""

    base: str
    admin: Client
    database: Database
    url: str
    open: ExitStack

    def app(self, **changes: Any) -> App:
        return replace(App(self.base, CLIENT_ID, CLIENT_SECRET), **changes)

    def login(self, app: App) -> VaultLogin:
        return self.open.enter_context(login_of(self.url, app, VAULT))

    def session(self, login: VaultLogin, book: Book) -> MeteredSession:
        return self.open.enter_context(MeteredSession(login, book, sleep=lambda _seconds: None))

    def set_app(self, **changes: Any) -> None:
        assert self.admin.patch(f"/standin/apps/{CLIENT_ID}", changes).status_code == 200

    def tell(self, path: str, command: Any) -> None:
        assert self.admin.post(f"/standin{path}", command).status_code < 300

    def connect(self) -> App:
        """Somebody connects in the browser."""
        app = self.app(grant="authorization_code")
        self.set_app(redirect_uris=[CALLBACK])
        endpoint = OAuthEndpoint(app)
        started = connecting.begin(self.database, VAULT, endpoint, NAME, CALLBACK)
        person = Browser(self.base).go(started.url)
        person.log_in(USER, PASSWORD)
        if not person.callback:
            person.submit(decision="approve")
        person.http.close()
        kept = connecting.take(self.database, person.callback["state"])
        connecting.finish(self.database, VAULT, endpoint, kept, person.callback["code"])
        return app

    def token_requests(self) -> int:
        calls = self.admin.get("/standin/calls").json()["calls"]
        return len([call for call in calls if call["path"].startswith("/services/oauth2/token")])

    def expire(self) -> None:
        self.tell("/sessions/expire", {})
        self.admin.delete("/standin/calls")

    def state(self) -> str:
        with self.database.transaction() as tx:
            return credentials.load(tx, NAME).state


@pytest.fixture
def scene(database_url: str) -> Iterator[Scene]:
    standin = Running()
    admin = Client(standin.base, ADMIN_TOKEN)
    database = Database(database_url)
    with database.transaction() as tx:
        settings.connect(tx, NAME, "salesforce", {})
    with ExitStack() as stack:
        yield Scene(standin.base, admin, database, database_url, stack)
    database.close()
    admin.http.close()
    standin.stop()


def signed(scene: Scene) -> App:
    """The JWT bearer grant, its certificate uploaded, its user approved."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "GPTWeb")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(DAWN).not_valid_after(DUSK).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = certificate.public_bytes(serialization.Encoding.PEM).decode()
    scene.set_app(certificate=public, permitted_users="approved", approved=[USER])
    return scene.app(grant="jwt_bearer", username=USER, private_key=pem)


def by_browser(scene: Scene) -> App:
    scene.set_app(rotation=True)
    return scene.connect()


WAYS = {
    "client_credentials": lambda scene: scene.app(),
    "jwt_bearer": signed,
    "authorization_code": by_browser,
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_ten_processes_with_an_expired_token_ask_once(scene, way):
    """Failure case 14, with every grant; with rotation a second use of the old token would have ended the grant."""
    app = WAYS[way](scene)
    old = scene.login(app).token()
    with workers(scene.url, app, KEYS, 10) as all_renew:
        scene.expire()
        said = all_renew()
    assert scene.token_requests() == 1
    assert said == [scene.login(app).token().access_token] * 10
    assert old.access_token not in said


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_token_that_expires_in_the_middle_of_a_long_run_is_renewed_once(scene, book, way):
    """Failure case 15."""
    session = scene.session(scene.login(WAYS[way](scene)), book)
    for round_ in range(6):
        if round_ == 3:
            scene.expire()
        assert session.call("GET", LIMITS, purpose="sync").status == 200
    assert scene.token_requests() == 1
    assert len(book.purposes) == 7


def test_rotation_is_followed_from_token_to_token(scene, book):
    session = scene.session(scene.login(by_browser(scene)), book)
    for _ in range(4):
        scene.expire()
        assert session.call("GET", LIMITS, purpose="sync").status == 200
    assert scene.token_requests() == 1


def test_a_refused_session_after_a_fresh_log_in_is_bounded(scene, book):
    """Failure case 16."""
    session = scene.session(scene.login(scene.app()), book)
    session.call("GET", LIMITS, purpose="sync")
    body = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    scene.tell(
        "/faults", {"action": "reply", "path": "/services/data", "count": 1000, "status": 401, "reply": body}
    )
    before = scene.token_requests()
    with pytest.raises(SessionExpired):
        session.call("GET", LIMITS, purpose="sync")
    assert scene.token_requests() - before == 1
    assert len(book.purposes) == 3


def test_a_process_killed_with_the_new_refresh_token_in_its_hands_loses_this_grant_and_says_so(scene):
    app = by_browser(scene)
    with workers(scene.url, app, KEYS, 1, "deadly") as all_renew:
        scene.expire()
        assert all_renew() == ["ended with -9"]
    login = scene.login(app)
    with pytest.raises(ReconnectNeeded, match="the reply to a refresh of"):
        login.renew(login.token())
    assert scene.state() == "reconnect needed"
    scene.connect()
    assert scene.state() == "good"
    assert scene.login(app).token().access_token


def test_the_same_without_rotation_loses_nothing(scene):
    app = scene.connect()
    with workers(scene.url, app, KEYS, 1, "deadly") as all_renew:
        scene.expire()
        assert all_renew() == ["ended with -9"]
    login = scene.login(app)
    assert login.renew(login.token()).access_token
    assert scene.state() == "good"


def test_a_user_who_was_switched_off_stops_every_run_after_one_request(scene, book):
    app = scene.connect()
    scene.login(app).token()
    user = scene.admin.rows(f"SELECT Id FROM User WHERE Username = '{USER}'")[0]["Id"]
    assert scene.admin.patch(f"/sobjects/User/{user}", {"IsActive": False}).status_code == 204
    scene.expire()
    for _ in range(3):
        session = scene.session(scene.login(app), book)
        with pytest.raises(ReconnectNeeded, match="inactive_user"):
            session.call("GET", LIMITS, purpose="sync")
    assert len(book.purposes) == 1


def test_a_sixth_log_in_of_the_same_user_ends_the_grant_and_is_named(scene):
    app = scene.connect()
    login = scene.login(app)
    old = login.token()
    endpoint = OAuthEndpoint(app)
    for _ in range(5):  # somebody uses the same user and app elsewhere
        started = connecting.begin(scene.database, VAULT, endpoint, NAME, CALLBACK)
        person = Browser(scene.base).go(started.url).log_in(USER, PASSWORD)
        kept = connecting.take(scene.database, person.callback["state"])
        verifier = VAULT.open(NAME, "code verifier", kept.sealed)["code_verifier"]
        endpoint.exchange(person.callback["code"], verifier, CALLBACK)
        person.http.close()
    with pytest.raises(ReconnectNeeded, match="sixth log-in"):
        login.renew(old)


def test_an_org_that_lets_this_machine_in_no_more_is_told_and_asked_again_by_the_next_run(scene):
    scene.tell("/settings", {"login_ranges": ["203.0.113.0/24"]})
    with pytest.raises(Misconfigured, match="IP ranges"):
        scene.login(scene.app()).token()
    scene.tell("/settings", {"login_ranges": []})
    assert scene.login(scene.app()).token().access_token
