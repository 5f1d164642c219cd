"""Logging in to a Salesforce org: the client credentials grant, and who the session belongs to.

The token lives in the memory of this process only; a login that keeps it elsewhere is another ``Login``.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from crm_sync.access.login import Session, is_loopback, trusted_address
from crm_sync.access.network import network_error
from crm_sync.access.transport import CONNECT_TIMEOUT, MeteredSession
from crm_sync.errors import Misconfigured, RetryLater, SyncError

__all__ = ["ClientCredentials", "Identity", "identity"]

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105  # a path
TOKEN_TIMEOUT = 30.0

REMEDIES = {
    "invalid_client_id": "the consumer key is not known there: copy it again from the external client app",
    "invalid_client": "the consumer key or secret is wrong: copy both again from the external client app",
    "invalid_client_credentials": "the consumer secret is wrong: copy it again from the external client app",
    "inactive_user": "the app's run-as user is inactive: activate it or choose another under 'Run As'",
    "inactive_org": "the org is locked or suspended: ask its administrator",
    "invalid_grant": "the app has no run-as user, or login hours or IP ranges keep it out: check the app's policies",
    "invalid_app_access": "the run-as user may not use the app: assign its profile or a permission set to the app",
    "unsupported_grant_type": "the app does not allow this grant: switch on 'Client Credentials Flow' in its settings",
    "invalid_scope": "the app lacks a scope: add 'Manage user data via APIs (api)' to it",
    "invalid_request": "the grant is refused: use the org's My Domain address, not login.salesforce.com",
}
"""What helps, by the error of the token endpoint (facts/salesforce.md 2.3)."""


class ClientCredentials:
    """The OAuth 2.0 client credentials grant; it works on the org's My Domain address only (facts 2.1)."""

    def __init__(self, address: str, client_id: str, client_secret: str) -> None:
        self._address = trusted_address(address)
        self._client_id = client_id
        self._client_secret = client_secret
        self._session: Session | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<ClientCredentials for {self._address}>"

    def token(self) -> Session:
        """The present session, fetched when there is none."""
        with self._lock:
            if self._session is None:
                self._session = self._fetch()
            return self._session

    def renew(self, refused: Session) -> Session:
        """A session other than the refused one; whoever asks second gets what the first one fetched."""
        with self._lock:
            if self._session is None or self._session == refused:
                self._session = self._fetch()
            return self._session

    def _fetch(self) -> Session:
        with OAuth2Session(
            self._client_id,
            self._client_secret,
            token_endpoint_auth_method="client_secret_post",  # noqa: S106  # a method
        ) as client:
            if is_loopback(urlsplit(self._address).hostname or ""):
                client.trust_env = False  # no proxy on the way to this machine, but the named certificates
                client.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
            try:
                token = client.fetch_token(
                    self._address + TOKEN_PATH,
                    grant_type="client_credentials",
                    timeout=(CONNECT_TIMEOUT, TOKEN_TIMEOUT),
                )
                return Session(token["access_token"], token["instance_url"], token.get("id", ""))
            except OAuthError as error:
                raise _refused(error, self._address) from None
            except requests.HTTPError as error:
                status = error.response.status_code
                if status < 500:
                    raise _no_org(self._address) from None
                raise RetryLater(
                    f"log-in at {self._address}: it answered {status}; it is asked again later"
                ) from None
            except requests.JSONDecodeError:
                raise _no_org(self._address) from None
            except requests.RequestException as error:
                host = urlsplit(self._address).netloc
                raise network_error(error, writes=False, what="log-in", host=host) from None
            except (KeyError, ValueError, TypeError):
                raise _no_org(self._address) from None


def _refused(error: OAuthError, address: str) -> SyncError:
    code = str(error.error)
    if code == "rate_limit_exceeded":
        return RetryLater(
            f"log-in at {address}: too many log-ins in the last hour; it is tried again",
            timedelta(minutes=10),
        )
    remedy = REMEDIES.get(code, "check the app's policies and its run-as user")
    return Misconfigured(f"log-in at {address} was refused: {code} ({error.description}); {remedy}")


def _no_org(address: str) -> Misconfigured:
    return Misconfigured(
        f"log-in at {address}: what answers there is no Salesforce org; enter the org's My Domain address, "
        "like https://acme.my.salesforce.com"
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose session it is: the integration user and the org that the connection is pinned to."""

    user_id: str
    organization_id: str


def identity(transport: MeteredSession) -> Identity:
    """From the token reply's "id" address, else asked of userinfo; neither is a call that Salesforce counts."""
    parts = urlsplit(transport.login.token().identity).path.split("/")
    if len(parts) == 4 and parts[1] == "id":
        return Identity(user_id=parts[3], organization_id=parts[2])
    body: Any = transport.call("GET", "/services/oauth2/userinfo", purpose=transport.purpose).body
    try:
        return Identity(user_id=body["user_id"], organization_id=body["organization_id"])
    except (KeyError, TypeError):
        raise Misconfigured(
            "userinfo does not tell the user: add the scope 'Access the identity URL service (id)' to the app"
        ) from None
