"""No token and no secret of a whole test run is anywhere: databases, logs at debug level, XCom, pages, error messages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import asdict
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from psycopg import sql

from crm_sync.access.vault import new_entry
from crm_sync.ledger.migrate import migrate
from tests.crm_airflow.airflow_env import HOME, ROOT
from tests.crm_airflow.real import Org, running_org

SHAPES = {
    "an access token": re.compile(rb"00D[0-9A-Za-z]{12}(!|%21)[0-9A-Za-z]"),
    "a refresh token": re.compile(rb"5Aep861[0-9A-Za-z]"),
    "an authorization code": re.compile(rb"aPrx[0-9A-Za-z]{8}"),
    "a private key": re.compile(rb"BEGIN( RSA)? PRIVATE KEY"),
}
"""What Salesforce's secrets look like: finds also those that nobody wrote down."""

AIRFLOWS_OWN = re.compile(rb"^.*Sending request .*msg=MaskSecret\(.*$", re.MULTILINE)
"""At debug level, Airflow's in-process runner of tests (no other) prints what it was asked to mask."""


def forms(secret: str) -> set[bytes]:
    """A secret as it is, in an address, in JSON, and in base64 at each of the three places where it may begin."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()}
    for place in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            # What shares a group with its neighbours differs: it is cut off on both sides.
            found.add(encode(b"\0" * place + plain)[4 if place else 0 : -4])
    return {form for form in found if len(form) >= 8}


def leaks(content: bytes, secrets: dict[str, str]) -> list[str]:
    """What of it is in there."""
    named = [name for name, secret in secrets.items() if any(form in content for form in forms(secret))]
    return named + [name for name, shape in SHAPES.items() if shape.search(content)]


def dump(url: str) -> bytes:
    """Every row of every table of ours."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select schemaname, tablename from pg_tables where schemaname in ('gptweb', 'crm_sync', 'public')"
        ).fetchall()
        found = [
            connection.execute(sql.SQL("select t::text from {} t").format(sql.Identifier(*table))).fetchall()
            for table in tables
        ]
    return "\n".join(str(row[0]) for rows in found for row in rows).encode()


@pytest.mark.parametrize("wrap", [
    lambda s: s, lambda s: quote(s, safe=""), lambda s: b64encode(s.encode()).decode(),
    lambda s: b64encode(f"x{s}yz".encode()).decode(), lambda s: urlsafe_b64encode(f"ab{s}".encode()).decode(),
    lambda s: json.dumps({"a": s}),
])  # fmt: skip
def test_the_search_finds_what_is_there(wrap):
    secret = 'R3fr?sh/t"ken+of the-test'
    content = f"before {wrap(secret)} after".encode()
    assert leaks(content, {"it": secret}) == ["it"]
    assert leaks(content, {"it": "another-secret-of-the-test"}) == []


@pytest.fixture
def own_org(tmp_path) -> Iterator[Org]:
    with running_org(tmp_path / "org.log") as org:
        yield org


def test_no_token_and_no_secret_of_a_whole_run_is_anywhere(hub, own_org, tmp_path):
    url, org = made_database(hub), own_org
    (tmp_path / "airflow").mkdir()
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    environment = {**os.environ, "CRM_SYNC_DATABASE_URL": url, "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
                   HOME: str(tmp_path / "airflow"), "CRM_SYNC_VAULT_KEYS": new_entry("k1"),
                   "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "include", ROOT / "plugins", ROOT)))}  # fmt: skip
    environment = {name: value for name, value in environment.items() if not name.startswith("AIRFLOW_CONN_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.crm_airflow.secret_run", str(tmp_path / "secrets.json")],
        input=json.dumps({"org": asdict(org), "private_key": key.decode()}), cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    secrets = json.loads((tmp_path / "secrets.json").read_text())
    secrets |= {"consumer secret": org.client_secret, "people's token": org.token,
                "database password": urlsplit(url).password or "", "vault ring": environment["CRM_SYNC_VAULT_KEYS"]}  # fmt: skip
    places = {"the output": AIRFLOWS_OWN.sub(b"", done.stdout.encode()), "our database": dump(url)} | {
        str(file.relative_to(tmp_path)): file.read_bytes()
        for file in (tmp_path / "airflow").rglob("*")
        if file.is_file()
    }
    saw_everything(places, secrets)
    assert {place: found for place, content in places.items() if (found := leaks(content, secrets))} == {}


def saw_everything(places: dict[str, bytes], secrets: dict[str, str]) -> None:
    """A search of nothing finds nothing: the run did what it was to do, and left its traces."""
    output = places["the output"]
    for trace in (
        rb"/services/oauth2/token HTTP/1.1", rb"http.access", rb"RUN \('failed'",
        rb"TROUBLE tampered", rb"TROUBLE dead", rb"reconnect needed", rb"DEBUG|debug", rb"xcomEntries 200",
    ):  # fmt: skip
        assert re.search(trace, output), trace
    assert output.count(b"RUN ('success'") == 2
    kinds = {name.partition(" of ")[0].partition(" while")[0] for name in secrets}
    assert {"access_token", "refresh_token", "authorization code", "code verifier", "signing key"} <= kinds
    assert b"A256CBC-HS512" not in places["our database"]  # the header is in base64
    assert b"eyJhbGciOiJkaXIi" in places["our database"]
    assert any(name.endswith("airflow.db") for name in places)


def made_database(hub: str) -> str:
    url = hub.rpartition("/")[0] + "/secrets"
    with psycopg.connect(hub, autocommit=True) as connection:
        connection.execute("create database secrets")
    migrate(url)
    return url
