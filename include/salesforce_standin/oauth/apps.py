"""Connected apps and external client apps: what each may do, and which users let it (facts/salesforce.md 2.4)."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from salesforce_standin.config import Settings

# In the order in which a reply lists them.
SCOPES = (
    "refresh_token", "offline_access", "full", "api", "web", "id", "openid", "profile", "email", "address", "phone",
    "custom_permissions", "visualforce", "lightning", "content",
)  # fmt: skip
_USUAL_SCOPES = ("refresh_token", "full", "api", "web", "id", "openid", "profile", "email")
# Where the command line tools of the platform wait for their callback.
_USUAL_CALLBACK = "http://localhost:1717/OauthRedirect"


@dataclass(slots=True)
class App:
    """One app. ``approved`` are names of users that an administrator approved, ``consents`` ids of those who did."""

    client_id: str
    client_secret: str
    name: str = "GPTWeb CRM Sync"
    redirect_uris: list[str] = field(default_factory=lambda: [_USUAL_CALLBACK])
    scopes: list[str] = field(default_factory=lambda: list(_USUAL_SCOPES))
    # A public client (a desktop tool) keeps no secret: it exchanges codes without one.
    public: bool = False
    secret_to_refresh: bool = False
    pkce_required: bool = False
    rotation: bool = False
    # "all" may let the app in themselves, or only those whom an administrator "approved".
    permitted_users: str = "all"
    approved: list[str] = field(default_factory=list)
    run_as: str = ""
    certificate: str = ""
    blocked: bool = False
    consents: dict[str, list[str]] = field(default_factory=dict)
    first: bool = False

    def is_secret(self, given: str) -> bool:
        """Whether this is the app's secret."""
        return hmac.compare_digest(given.encode(), self.client_secret.encode())

    def admits(self, username: str) -> bool:
        """Whether a user may use the app at all."""
        return self.permitted_users == "all" or username.lower() in {one.lower() for one in self.approved}

    def trusts(self, user_id: str, username: str) -> bool:
        """Whether the app may act for a user without asking: approved by an administrator, or by the user before."""
        return username.lower() in {one.lower() for one in self.approved} or user_id in self.consents

    def granted(self, asked: str) -> list[str] | None:
        """Return the scopes for those asked for (none means all of the app's), or None if it may not have one."""
        wanted = {"refresh_token" if one == "offline_access" else one for one in asked.split()}
        if not wanted:
            wanted = set(self.scopes)
        return None if wanted - set(self.scopes) else in_order(wanted)

    def change(self, wanted: dict[str, Any]) -> None:
        """Set some of the app's settings, or raise ValueError; then nothing is changed."""
        known = {one.name for one in fields(self)} - {"first", "client_id", "consents"}
        for name, value in wanted.items():
            if name not in known:
                raise ValueError(f"{name!r} is no setting of an app: there are {', '.join(sorted(known))}")
            if type(value) is not type(getattr(self, name)):
                raise ValueError(f"{name} must be of the kind of {getattr(self, name)!r}")
        if wanted.get("permitted_users", "all") not in {"all", "approved"}:
            raise ValueError("permitted_users must be 'all' or 'approved'")
        if set(wanted.get("scopes", ())) - set(SCOPES):
            raise ValueError(f"scopes must be among {', '.join(SCOPES)}")
        for name, value in wanted.items():
            setattr(self, name, value)


def in_order(scopes: set[str]) -> list[str]:
    """Return scopes in the order of a reply."""
    return [one for one in SCOPES if one in scopes]


class Apps:
    """The apps of an org by consumer key; the first one is that of the command line."""

    def __init__(self, settings: Settings, stored: list[dict[str, Any]] | None) -> None:
        self._apps: dict[str, App] = {}
        for document in stored or []:
            self._enter(App(**document))
        first = next((app for app in self._apps.values() if app.first), None)
        if stored is None:
            first = App(settings.client_id, settings.client_secret, first=True)
            first.run_as = settings.integration_username
        if first is not None:  # it may have been deleted, and then it stays so
            self._apps.pop(first.client_id, None)
            first.client_id, first.client_secret = settings.client_id, settings.client_secret
            first.redirect_uris = settings.redirect_uris or first.redirect_uris
            first.certificate = settings.certificate or first.certificate
            self._enter(first)

    def _enter(self, app: App) -> None:
        self._apps[app.client_id] = app

    def find(self, client_id: str) -> App | None:
        """Return an app by its consumer key."""
        return self._apps.get(client_id)

    def add(self, wanted: dict[str, Any]) -> App:
        """Register an app with the settings given, a key and a secret if they are not; or raise ValueError."""
        rest = dict(wanted)
        client_id = str(rest.pop("client_id", "") or "3MVG9" + secrets.token_urlsafe(60))
        if client_id in self._apps:
            raise ValueError(f"there is an app with the client_id {client_id} already")
        app = App(client_id, secrets.token_hex(32).upper(), name="An app")
        app.change(rest)
        self._enter(app)
        return app

    def remove(self, client_id: str) -> None:
        """Delete an app."""
        self._apps.pop(client_id, None)

    def dump(self) -> list[dict[str, Any]]:
        """Return the apps as they are shown and stored."""
        return [asdict(app) for app in self._apps.values()]
