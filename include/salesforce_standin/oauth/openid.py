"""OpenID Connect: the signed token that says who logged in, the key to check it with, and where everything is."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from salesforce_standin.http_call import Incoming, Reply
from salesforce_standin.oauth.apps import SCOPES
from salesforce_standin.sessions import Session

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_STORED = "openid_key"
_SECONDS = 120


def _key(org: Org) -> RSAKey:
    """Return the org's signing key, made when it is first needed and kept with the data."""
    if org.signing_key is None:
        stored = org.storage.setting(_STORED)
        made = RSAKey.import_key(stored) if stored else RSAKey.generate_key(2048, private=True)
        made.ensure_kid()
        org.signing_key = made
        org.remember(_STORED, made.as_dict(private=True))
    return org.signing_key


def id_token(org: Org, session: Session, base: str, nonce: str) -> str:
    """Return the token that tells an app who its user is."""
    key, now = _key(org), int(org.clock.now())
    digest = hashlib.sha256(session.token.encode()).digest()[:16]
    claims: dict[str, Any] = {
        "at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "sub": f"{base}/id/{org.settings.org_id}/{session.user_id}",
        "aud": session.client_id,
        "iss": base,
        "exp": now + _SECONDS,
        "iat": now,
        **({"nonce": nonce} if nonce else {}),
    }
    return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": key.kid}, claims, key)


def keys(org: Org, _incoming: Incoming) -> Reply:
    """Show the public key."""
    shown = _key(org).as_dict(private=False)
    return Reply(body={"keys": [{**shown, "use": "sig", "alg": "RS256"}]})


def configuration(_org: Org, incoming: Incoming) -> Reply:
    """Say where everything is (OpenID Connect Discovery)."""
    base, oauth = incoming.base, f"{incoming.base}/services/oauth2"
    return Reply(
        body={
            "issuer": base,
            "authorization_endpoint": f"{oauth}/authorize",
            "token_endpoint": f"{oauth}/token",
            "revocation_endpoint": f"{oauth}/revoke",
            "userinfo_endpoint": f"{oauth}/userinfo",
            "introspection_endpoint": f"{oauth}/introspect",
            "jwks_uri": f"{base}/id/keys",
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "display_values_supported": ["page", "popup", "touch"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "claims_supported": [
                "active", "address", "email", "email_verified", "family_name", "given_name", "is_app_installed",
                "language", "locale", "name", "nickname", "organization_id", "phone_number", "photos", "picture",
                "preferred_username", "profile", "sub", "updated_at", "urls", "user_id", "user_type", "zoneinfo",
            ],
        }
    )  # fmt: skip
