"""The external client app by which a connection comes in, as a person entered it in Airflow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Final, Literal

import orjson

__all__ = ["GRANTS", "App", "GrantName"]

GrantName = Literal["client_credentials", "authorization_code", "jwt_bearer"]
GRANTS: Final[tuple[GrantName, ...]] = ("client_credentials", "authorization_code", "jwt_bearer")


@dataclass(frozen=True, slots=True)
class App:
    """Where to log in, and as what.

    ``address``: where to log in, the org's My Domain, or login/test.salesforce.com.  ``private_key`` (PEM) and
    ``username`` are for the JWT bearer grant; ``consumer_secret`` may be blank for an app without one (PKCE).
    """

    address: str
    consumer_key: str
    consumer_secret: str = field(default="", repr=False)
    grant: GrantName = "client_credentials"
    username: str = ""
    private_key: str = field(default="", repr=False)

    def digest(self) -> str:
        """A fingerprint: when a person changes anything here, what was refused before is tried again."""
        return sha256(orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)).hexdigest()
