"""Speaking to Salesforce's OAuth endpoints: the four grants, the authorize address, introspection, who somebody is.

None of these calls is counted by Salesforce (facts/salesforce.md 3.2), so none is booked.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import JWTBearerGrant
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from crm_sync.access.app import App
from crm_sync.access.grant_errors import grant_error
from crm_sync.access.login import Session, is_loopback, trusted_address
from crm_sync.access.network import network_error
from crm_sync.access.transport import CONNECT_TIMEOUT, MeteredSession
from crm_sync.errors import Misconfigured, RetryLater, SyncError, Unanswered

__all__ = ["Identity", "OAuthEndpoint", "Tokens", "identity", "identity_of"]

AUTHORIZE, TOKEN, INTROSPECT, REVOKE, USERINFO = (
    f"/services/oauth2/{name}" for name in ("authorize", "token", "introspect", "revoke", "userinfo")
)
TIMEOUT: Final = (CONNECT_TIMEOUT, 30.0)
ASSERTION_SECONDS: Final = 180  # Salesforce takes no assertion that is good for more than five minutes
PRODUCTION, SANDBOX = "https://login.salesforce.com", "https://test.salesforce.com"
SCOPE: Final = "api refresh_token"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint gave; ``refresh_token`` is blank where the grant has none."""

    access_token: str = field(repr=False)
    instance_url: str
    identity: str = ""
    refresh_token: str = field(default="", repr=False)

    @property
    def session(self) -> Session:
        """What the transport needs of it."""
        return Session(self.access_token, self.instance_url, self.identity)


class OAuthEndpoint:
    """The OAuth endpoints of one app.

    Each method raises NotSent when the request never left, RetryLater when its fate is not known, and what
    ``grant_errors`` says when it was refused.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self._address = trusted_address(app.address)

    def __repr__(self) -> str:
        return f"<OAuthEndpoint at {self._address}>"

    def fetch(self, refresh_token: str = "") -> Tokens:
        """A new access token by the app's own grant; the browser's grant needs its refresh token."""
        match self.app.grant:
            case "client_credentials":
                return self._ask(grant_type="client_credentials")
            case "jwt_bearer":
                return self._ask(grant_type=JWTBearerGrant.GRANT_TYPE, assertion=self._assertion())
            case "authorization_code":
                new = self._ask(grant_type="refresh_token", refresh_token=refresh_token)
                # The reply has one only where the app rotates them (facts 2.2).
                return new if new.refresh_token else _with_refresh(new, refresh_token)

    def authorize_url(self, state: str, code_verifier: str, redirect_uri: str) -> str:
        """Where to send the browser; only the verifier's SHA-256 is in the address (PKCE).

        It has to log in there, or the session of whoever administers the org would be taken for the integration user's.
        """
        with self._client() as client:
            url: str = client.create_authorization_url(
                self._address + AUTHORIZE, state=state, code_verifier=code_verifier, redirect_uri=redirect_uri,
                scope=SCOPE, prompt="login",
            )[0]  # fmt: skip
        return url

    def exchange(self, code: str, code_verifier: str, redirect_uri: str) -> Tokens:
        """The tokens for the code that the browser brought back."""
        tokens = self._ask(
            grant_type="authorization_code", code=code, code_verifier=code_verifier, redirect_uri=redirect_uri
        )
        if not tokens.refresh_token:
            raise Misconfigured(
                f"log-in at {self._address} gave no refresh token: add the scope 'Perform requests at any time "
                "(refresh_token)' to the app, and connect again"
            )
        return tokens

    def revoke(self, tokens: Tokens) -> bool:
        """End a grant that is not kept; False when the org did not say that it is ended."""
        try:
            with self._client() as client:
                reply = client.revoke_token(
                    self._address + REVOKE, token=tokens.refresh_token or tokens.access_token, timeout=TIMEOUT,
                    allow_redirects=False,
                )  # fmt: skip
            return bool(reply.status_code == 200)
        except requests.RequestException:
            return False

    def lifetime(self, access_token: str) -> timedelta | None:
        """For how long a new access token is good; None where the app may not introspect."""
        try:
            with self._client() as client:
                reply = client.introspect_token(
                    self._address + INTROSPECT, token=access_token, token_type_hint="access_token",  # noqa: S106
                    timeout=TIMEOUT, allow_redirects=False,
                )  # fmt: skip
            body = reply.json()
            return timedelta(seconds=int(body["exp"]) - int(body["iat"])) if body["active"] else None
        except (requests.RequestException, KeyError, TypeError, ValueError):
            return None  # the first refusal will tell

    def username(self, session: Session) -> str:
        """The name by which people know whose session it is; blank where the app may not ask."""
        try:
            with self._client() as client:
                client.token = {"access_token": session.access_token, "token_type": "Bearer"}
                reply = client.get(self._address + USERINFO, timeout=TIMEOUT, allow_redirects=False)
            return str(reply.json()["preferred_username"])
        except (requests.RequestException, KeyError, TypeError, ValueError):
            return ""  # the user's id is known

    def _ask(self, **form: str) -> Tokens:
        try:
            with self._client() as client:
                reply = client.fetch_token(
                    self._address + TOKEN, timeout=TIMEOUT, allow_redirects=False, **form
                )
            return Tokens(
                reply["access_token"],
                reply["instance_url"],
                reply.get("id", ""),
                reply.get("refresh_token", ""),
            )
        except OAuthError as error:
            refused = grant_error(
                str(error.error), str(error.description or ""), self.app.grant, self._address
            )
            raise refused from None
        except requests.HTTPError as error:
            raise self._http_error(error.response.status_code) from None
        except requests.JSONDecodeError:
            raise self._no_org() from None
        except requests.RequestException as error:
            raise self._network_error(error) from None
        except (KeyError, ValueError, TypeError):
            raise self._no_org() from None

    def _client(self) -> Any:
        secret = self.app.consumer_secret
        client = OAuth2Session(
            self.app.consumer_key,
            secret or None,
            token_endpoint_auth_method="client_secret_post" if secret else "none",
            code_challenge_method="S256",
        )
        if is_loopback(urlsplit(self._address).hostname or ""):
            client.trust_env = False  # no proxy on the way to this machine, but the named certificates
            client.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        return client

    def _assertion(self) -> str:
        try:
            signed: str = JWTBearerGrant.sign(
                RSAKey.import_key(self.app.private_key), issuer=self.app.consumer_key, subject=self.app.username,
                audience=_audience(self._address), alg="RS256", expires_in=ASSERTION_SECONDS,
            )  # fmt: skip
        except (JoseError, ValueError, TypeError):
            raise Misconfigured(
                "the private key of the connection is no RSA key in PEM form: enter the key that belongs to the "
                "certificate of the external client app, whole, with its BEGIN and END lines"
            ) from None
        return signed

    def _network_error(self, error: requests.RequestException) -> SyncError:
        host = urlsplit(self._address).netloc
        known = network_error(error, writes=True, what="log-in", host=host)
        if isinstance(known, Unanswered):  # which is a word for records
            return RetryLater(f"log-in at {host}: no answer came, or it broke off; it is asked again later")
        return known

    def _http_error(self, status: int) -> SyncError:
        if status < 500:
            return self._no_org()
        return RetryLater(f"log-in at {self._address}: it answered {status}; it is asked again later")

    def _no_org(self) -> Misconfigured:
        return Misconfigured(
            f"log-in at {self._address}: what answers there is no Salesforce org; enter the org's My Domain address, "
            "like https://acme.my.salesforce.com"
        )


def _with_refresh(tokens: Tokens, refresh_token: str) -> Tokens:
    return Tokens(tokens.access_token, tokens.instance_url, tokens.identity, refresh_token)


def _audience(address: str) -> str:
    """Whom a signed log-in is for: production or test (sandboxes, scratch orgs), whatever the My Domain; another host is for itself."""
    host = urlsplit(address).hostname or ""
    if not host.endswith(".salesforce.com"):
        return address
    is_test = host.startswith("test.") or ".sandbox." in host or ".scratch." in host
    return SANDBOX if is_test else PRODUCTION


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose session it is: the integration user and the org that the connection is pinned to."""

    user_id: str
    organization_id: str


def identity_of(address: str) -> Identity | None:
    """From the token reply's "id" address, https://login.salesforce.com/id/ORG/USER."""
    parts = urlsplit(address).path.split("/")
    return Identity(parts[3], parts[2]) if len(parts) == 4 and parts[1] == "id" else None


def identity(transport: MeteredSession) -> Identity:
    """From the token reply, else asked of userinfo; neither is a call that Salesforce counts."""
    if known := identity_of(transport.login.token().identity):
        return known
    body: Any = transport.call("GET", USERINFO, purpose=transport.purpose).body
    try:
        return Identity(user_id=body["user_id"], organization_id=body["organization_id"])
    except (KeyError, TypeError):
        raise Misconfigured(
            "userinfo does not tell the user: add the scope 'Access the identity URL service (id)' to the app"
        ) from None
