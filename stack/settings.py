"""What one stack is made of: its folder, its ports, its generated secrets; and which org it talks to.

Kept in ``.local/settings.json`` (0600), so that a restart finds the same database, keys and passwords.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import string
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from crm_sync.access.vault import new_entry
from stack.errors import StackError
from stack.ports import LOOPBACK, choose

ROOT = Path(__file__).resolve().parent.parent
CONNECTION = "salesforce_main"
APP_ROLE = "crm_sync_app"
"""The role as which Airflow's processes use GPTWeb's database: it can't rewrite the audit trail."""


def _fernet_key() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _org_token() -> str:
    """An access token of the usual shape; its first 15 characters are the org's id."""
    letters = string.digits + string.ascii_letters
    return "00D5g00000" + "".join(secrets.choice(letters) for _ in range(5)) + "!AQ" + secrets.token_hex(44)


def _vault_ring() -> str:
    return new_entry("local-1")


@dataclass
class Secrets:
    """Made once per checkout; never printed, but for the demo's own UI password."""

    fernet_key: str = field(default_factory=_fernet_key)
    jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(64))
    vault_keys: str = field(default_factory=_vault_ring)
    app_password: str = field(default_factory=lambda: secrets.token_hex(16))
    airflow_password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    standin_token: str = field(default_factory=_org_token)
    standin_client_id: str = field(default_factory=lambda: "3MVG9" + secrets.token_hex(40))
    standin_password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    standin_client_secret: str = field(default_factory=lambda: secrets.token_hex(32).upper())


@dataclass
class Ports:
    """The ports of the last start."""

    postgres: int = 0
    airflow: int = 0
    salesforce: int = 0


PORT_VARIABLES = {"postgres": "POSTGRES_PORT", "airflow": "AIRFLOW_PORT", "salesforce": "SALESFORCE_PORT"}


@dataclass(frozen=True)
class Org:
    """A Salesforce org and the connected app by which the integration user comes in."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Org | None:
        """The org named by the three variables; ``None`` where none is set."""
        names = ("SALESFORCE_URL", "SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET")
        given = [environment.get(name, "").strip() for name in names]
        if not any(given):
            return None
        missing = [name for name, value in zip(names, given, strict=True) if not value]
        if missing:
            raise StackError(
                f"To use your own org, set {', '.join(missing)} too (make variable or environment)."
            )
        url = given[0].rstrip("/")
        local = url.startswith((f"http://{LOOPBACK}", "http://localhost"))
        if not (url.startswith("https://") or local):
            raise StackError(
                f"SALESFORCE_URL={url}: use the org's address, https://<domain>.my.salesforce.com."
            )
        return cls(url, given[1], given[2])


@dataclass
class Settings:
    """One stack in one folder."""

    local: Path
    secrets: Secrets = field(default_factory=Secrets)
    ports: Ports = field(default_factory=Ports)
    org_mark: str = ""

    @classmethod
    def load(cls, local: Path | None = None) -> Settings:
        """The settings of ``.local``, made at the first time."""
        settings = cls(local or ROOT / ".local")
        settings.local.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            stored = json.loads(settings.file.read_text())
        except FileNotFoundError:
            stored = {}
        except ValueError as error:
            raise StackError(f"{settings.file} cannot be read: run `make clean` and start again.") from error
        for part in (settings.secrets, settings.ports):
            known = {f.name for f in fields(part)}
            for name, value in stored.items():
                if name in known:
                    setattr(part, name, value)
        settings.org_mark = str(stored.get("org_mark", ""))
        settings.save()
        return settings

    def mark_of(self, org: Org | None) -> str:
        """What tells whether the running stack talks to this org; empty for the stand-in."""
        if org is None:
            return ""
        key = self.secrets.fernet_key.encode()
        return hmac.new(key, json.dumps(asdict(org)).encode(), "sha256").hexdigest()

    def save(self) -> None:
        """Write them back, readable by their owner alone."""
        stored = asdict(self.secrets) | asdict(self.ports) | {"org_mark": self.org_mark}
        write_private(self.file, json.dumps(stored, indent=1))

    def check_ports(self, environment: Mapping[str, str]) -> None:
        """Refuse ports that others hold, before anything that runs is stopped; our own will be free then."""
        for name, variable in PORT_VARIABLES.items():
            asked = environment.get(variable)
            if asked and asked not in {str(used) for used in asdict(self.ports).values()}:
                choose(variable, asked, getattr(self.ports, name) or None)

    def choose_ports(self, environment: Mapping[str, str]) -> None:
        """Settle the ports of the servers that are about to start."""
        for name, variable in PORT_VARIABLES.items():
            port = choose(variable, environment.get(variable), getattr(self.ports, name) or None)
            setattr(self.ports, name, port)
        if len(set(asdict(self.ports).values())) < len(PORT_VARIABLES):
            raise StackError(f"{', '.join(PORT_VARIABLES.values())} must be three different ports.")
        self.save()

    @property
    def file(self) -> Path:
        """Where they are kept."""
        return self.local / "settings.json"

    @property
    def postgres_data(self) -> Path:
        """Postgres' data folder."""
        return self.local / "postgres"

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME."""
        return self.local / "airflow"

    @property
    def standin_data(self) -> Path:
        """Where the stand-in keeps its org."""
        return self.local / "salesforce"

    @property
    def airflow_url(self) -> str:
        """The address of Airflow's UI and API."""
        return f"http://{LOOPBACK}:{self.ports.airflow}"


def write_private(path: Path, text: str) -> None:
    """Replace a file at once by one that only its owner can read."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
