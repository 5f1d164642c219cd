"""The settings of one stand-in: from the command line, else from SALESFORCE_STANDIN_* variables, else made up."""

from __future__ import annotations

import argparse
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from salesforce_standin import ids

LATEST = 66
OLDEST = 31

_OPTIONS: dict[str, tuple[str, str]] = {
    "host": ("127.0.0.1", "address to listen on"),
    "port": ("0", "port to listen on; 0 picks a free one"),
    "data": ("", "directory that keeps the org over a restart; without it the org lives in memory"),
    "seed": ("", "JSON file with records for a new org, or 'none'"),
    "token": ("", "access token of the sales administrator, <15-character org id>!<secret>; never expires"),
    "org-id": ("", "15- or 18-character id of the org"),
    "client-id": ("", "consumer key of the first app"),
    "client-secret": ("", "consumer secret of the first app"),
    "redirect-uris": ("", "callback addresses of the first app, separated by spaces"),
    "certificate": ("", "PEM file with the certificate or public key that checks the first app's JWTs"),
    "username": ("admin@gptweb.example", "name of the sales administrator"),
    "password": ("", "password of every user to whom nobody gave another"),
    "security-token": ("", "security token of every user, for SOAP login"),
    "integration-username": ("integration@gptweb.example", "name of the integration user"),
    "session-seconds": ("7200", "inactivity after which a session ends"),
    "daily-limit": ("15000", "API calls in any 24 hours"),
    "bulk-milliseconds": ("100", "time that a bulk job spends in each state at least"),
    "bulk-rows-per-second": ("0", "pace of all ingest batches together; 0 is as fast as it goes"),
    "random-seed": ("1", "seed of the jitter and of the order of collated subrequests"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be chosen at the start."""

    org_id: str
    token: str
    client_id: str
    client_secret: str
    password: str
    security_token: str
    username: str = "admin@gptweb.example"
    integration_username: str = "integration@gptweb.example"
    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    data: Path | None = None
    seed: Path | None = None
    session_seconds: int = 7200
    daily_limit: int = 15000
    bulk_milliseconds: int = 100
    bulk_rows_per_second: int = 0
    random_seed: int = 1
    redirect_uris: list[str] = field(default_factory=list)
    certificate: str = ""
    made_up: dict[str, str] = field(default_factory=dict)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; whatever is not on it comes from the environment."""
    parser = argparse.ArgumentParser(prog="salesforce_standin", description="A Salesforce org on the wire.")
    for name, (usual, text) in _OPTIONS.items():
        variable = "SALESFORCE_STANDIN_" + name.upper().replace("-", "_")
        parser.add_argument(f"--{name}", default=os.environ.get(variable, usual), help=f"{text} [{variable}]")
    parser.add_argument("--tls", action="store_true", help="serve https with a certificate of our own")
    return parser.parse_args(argv)


def settings_from(arguments: argparse.Namespace, remembered: dict[str, str]) -> Settings:
    """Return the settings; secrets that nobody gave are remembered from the last start, or made up."""
    made_up: dict[str, str] = {}

    def secret(name: str, fresh: str) -> str:
        given = getattr(arguments, name) or ""
        if given:
            return str(given)
        made_up[name] = remembered.get(name, fresh)
        return made_up[name]

    org_id = (arguments.org_id or arguments.token.partition("!")[0] or remembered.get("org_id", ""))[:15]
    org_id = org_id or "00D5g00000" + ids.base62(secrets.randbelow(62**5), 5)
    normal = ids.normalise(org_id)
    if normal is None or not normal.startswith("00D"):
        raise SystemExit(f"{org_id!r} is no org id: 15 characters that begin with 00D")
    made_up["org_id"] = normal[:15]
    return Settings(
        org_id=normal,
        token=secret("token", f"{normal[:15]}!{secrets.token_urlsafe(60)}"),
        client_id=secret("client_id", "3MVG9" + secrets.token_urlsafe(60)),
        client_secret=secret("client_secret", secrets.token_hex(32).upper()),
        password=secret("password", secrets.token_urlsafe(12)),
        security_token=secret("security_token", secrets.token_urlsafe(18)),
        username=arguments.username,
        integration_username=arguments.integration_username,
        host=arguments.host,
        port=int(arguments.port),
        tls=arguments.tls,
        data=Path(arguments.data) if arguments.data else None,
        seed=Path(arguments.seed) if arguments.seed not in {"", "none"} else None,
        session_seconds=int(arguments.session_seconds),
        daily_limit=int(arguments.daily_limit),
        bulk_milliseconds=int(arguments.bulk_milliseconds),
        bulk_rows_per_second=int(arguments.bulk_rows_per_second),
        random_seed=int(arguments.random_seed),
        redirect_uris=arguments.redirect_uris.split(),
        certificate=Path(arguments.certificate).read_text("ascii") if arguments.certificate else "",
        made_up=made_up,
    )
