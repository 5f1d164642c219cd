"""One request from its arrival to its commit: which API it is for, who sends it, whether it is counted."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from salesforce_standin import about, metadata, metadata_envelope, rest_xml, rights, soap
from salesforce_standin.admin import Admin
from salesforce_standin.bulk import classic
from salesforce_standin.config import LATEST, OLDEST
from salesforce_standin.errors import ApiError, fail, no_session, not_found
from salesforce_standin.http_call import Call, Incoming, Reply
from salesforce_standin.oauth import endpoint
from salesforce_standin.org import Org
from salesforce_standin.router import ROUTER
from salesforce_standin.routes import register
from salesforce_standin.sessions import Session
from salesforce_standin.tables import Row

_LOG = logging.getLogger(__name__)
# The platform's limit on address and headers (facts/salesforce.md 3.1).
MAX_HEAD = 16_384
VERSIONED = re.compile(r"/services/data/v(\d+)\.(\d+)(/.*)?\Z")
_ASYNC = re.compile(r"/services/async/(\d+)\.0(/.*)\Z")
_SOAP = re.compile(r"/services/Soap/([cu])/(\d+)\.0(?:/\w+)?/?\Z")
# Clients add a name of their own to it ("deployRequest/0Af…"), the org's id, or nothing.
_METADATA = re.compile(r"/services/Soap/m/(\d+)\.0(?:/[\w/]*)?\Z")
# Where a body may be something else than JSON.
_BULK = re.compile(r"/services/data/v\d+\.0/jobs/ingest")
_BULK_CONTENT = frozenset({"text/csv", "multipart/form-data"})
_OLDEST_RETIRED = 21
_API_SCOPES = {"api", "full"}

register(ROUTER)


class Gateway:
    """Answers requests for one org."""

    def __init__(self, org: Org, admin: Admin) -> None:
        self.org = org
        self.admin = admin
        self._at_work: list[float] = []

    def answer(self, incoming: Incoming) -> tuple[Reply, int]:
        """Do what is asked, durably; a request that fails as a whole leaves nothing behind."""
        try:
            reply = self._serve(incoming)
        except ApiError as error:
            self.org.abandon()
            return Reply(error.status, error.body, error.headers), 0
        except Exception:  # noqa: BLE001 - whatever it is, the client gets a reply
            self.org.abandon()
            _LOG.exception("%s %s failed", incoming.method, incoming.path)
            message = f"An unexpected error occurred. ErrorId: {secrets.randbelow(10**9)} ({secrets.randbelow(10**9)})"
            return Reply(500, [{"message": message, "errorCode": "UNKNOWN_EXCEPTION"}]), 0
        return reply, self.org.commit()

    def _refuse_long_head(self, incoming: Incoming) -> None:
        if incoming.address_size > MAX_HEAD:
            raise fail(414, "URI_TOO_LONG", "The URI is too long")
        if incoming.address_size + sum(len(k) + len(v) for k, v in incoming.headers.items()) > MAX_HEAD:
            raise fail(431, "REQUEST_HEADER_FIELDS_TOO_LARGE", "The header fields are too large")

    def _serve(self, incoming: Incoming) -> Reply:  # noqa: PLR0911 - one way out per API
        path = incoming.path
        self._refuse_long_head(incoming)
        if path.rstrip("/") == "/services/data":
            return Reply(body=about.versions())
        if match := VERSIONED.match(path):
            return self._rest(incoming, int(match[1]), int(match[2]), match[3] or "")
        if endpoint.is_ours(path):
            return endpoint.serve(self.org, incoming)
        if path.startswith("/services/Soap/") and "soapaction" not in incoming.headers:
            raise metadata_envelope.unusable("SOAPAction HTTP header missing")
        if match := _SOAP.match(path):
            return soap.serve(self.org, incoming, int(match[2]), match[1])
        if match := _METADATA.match(path):
            return self._metadata(incoming, int(match[1]))
        if match := _ASYNC.match(path):
            return self._bulk(incoming, int(match[1]), match[2])
        if path.startswith("/standin/"):
            session = self._authenticate(incoming)
            return self.admin.serve(
                self.org, self._call(incoming, session, path.removeprefix("/standin"), LATEST)
            )
        raise not_found()

    def _rest(self, incoming: Incoming, version: int, minor: int, path: str) -> Reply:
        if _OLDEST_RETIRED <= version < OLDEST:
            message = f"The requested API version v{version}.0 has been retired"
            raise fail(410, "UNSUPPORTED_API_VERSION", message)
        if not OLDEST <= version <= LATEST or minor:
            raise not_found()
        path = rest_xml.drop_suffix(incoming, version, path)
        session = self._authenticate(incoming)
        if not _API_SCOPES & set(session.scope.split()):
            raise no_session("This session is not valid for use with the REST API")
        if not rights.may_use_api(self.org, session.user_id):
            raise fail(403, *rights.API_DISABLED)
        if not self.org.meter.allows():
            raise fail(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.count(incoming)
        call = self._call(incoming, session, path.rstrip("/") or "", version)
        return ROUTER.dispatch(self.org, call)

    def _bulk(self, incoming: Incoming, version: int, path: str) -> Reply:
        """Serve Bulk API 1.0, whose token comes in a header of its own."""
        call = Call(
            method=incoming.method,
            path=path,
            version=version,
            user_id="",
            base=incoming.base,
            headers=incoming.headers,
            content=incoming.content,
        )
        user = self._user_of(self.org.sessions.find(incoming.headers.get("x-sfdc-session", "")))
        if user is None:
            raise classic.no_session(call)
        if not rights.may_use_api(self.org, user["Id"]):
            raise classic.api_disabled(call)
        if not self.org.meter.allows():
            raise classic.over_limit(call)
        self.count(incoming)
        incoming.user_id = user["Id"]
        return classic.serve(self.org, call.inner(user_id=user["Id"]))

    def _metadata(self, incoming: Incoming, version: int) -> Reply:
        """Serve the Metadata API, whose session comes inside the envelope."""
        request = metadata_envelope.read(incoming.content)
        user = self._user_of(self.org.sessions.find(request.token))
        if user is None:
            raise metadata_envelope.no_session(request.token)
        if not rights.may_use_api(self.org, user["Id"]):
            raise metadata_envelope.fault(*rights.API_DISABLED)
        if not self.org.meter.allows():
            raise metadata_envelope.over_limit()
        self.count(incoming)
        incoming.user_id = user["Id"]
        return metadata.serve(self.org, user["Id"], request, version)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Count a request as one at work while it takes its time."""
        began = time.monotonic()
        self._at_work.append(began)
        try:
            yield
        finally:
            self._at_work.remove(began)

    def is_crowded(self, incoming: Incoming) -> bool:
        """Whether too many long requests are at work for one more to an API (facts 3.1, "Concurrency")."""
        if not self._at_work or not _is_api(incoming):
            return False
        policy, now = self.org.policy, time.monotonic()
        long = [began for began in self._at_work if now - began >= policy.long_request_seconds]
        return len(long) >= policy.concurrent_requests

    def end_session(self, incoming: Incoming) -> None:
        """End the session that a request came with; the administrator's fixed token lives on."""
        token = incoming.headers.get("authorization", "").partition(" ")[2].strip()
        session = self.org.sessions.peek(token or incoming.headers.get("x-sfdc-session", ""))
        if session is not None and not session.forever:
            self.org.sessions.revoke(session.token)
            self.org.keep_sessions()

    def count(self, incoming: Incoming) -> None:
        """Count a request if it is one to an API."""
        if _is_api(incoming):
            self.org.meter.count()
            incoming.counted += 1

    def _call(self, incoming: Incoming, session: Session, path: str, version: int) -> Call:
        incoming.user_id = session.user_id
        self.org.current_token = session.token
        return Call(
            method=incoming.method,
            path=path,
            version=version,
            user_id=session.user_id,
            base=incoming.base,
            query=incoming.query,
            headers=incoming.headers,
            body=_json(incoming),
            content=incoming.content,
            tooling=path.startswith("/tooling"),
        )

    def _authenticate(self, incoming: Incoming) -> Session:
        scheme, _, token = incoming.headers.get("authorization", "").partition(" ")
        session = self.org.sessions.find(token.strip()) if scheme.lower() in {"bearer", "oauth"} else None
        if session is None or self._user_of(session) is None:
            raise no_session()
        return session

    def _user_of(self, session: Session | None) -> Row | None:
        """Return the user whom a session stands for, as long as the user is active."""
        user = self.org.tables["User"].rows.get(session.user_id) if session else None
        return user if user and user.get("IsActive") else None


def _is_api(incoming: Incoming) -> bool:
    return any(api.match(incoming.path) for api in (VERSIONED, _ASYNC, _METADATA))


def _json(incoming: Incoming) -> Any:
    if not incoming.content or incoming.method in {"GET", "HEAD", "DELETE"}:
        return None
    kind = incoming.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind in _BULK_CONTENT and _BULK.match(incoming.path):
        return None
    if kind == rest_xml.TYPE and rest_xml.is_understood(incoming):
        return rest_xml.read(incoming.content)
    if kind != "application/json":
        message = f"Content-Type header specified in HTTP request is not supported: {kind}"
        raise fail(415, "UNSUPPORTED_MEDIA_TYPE", message)
    try:
        return orjson.loads(incoming.content)
    except orjson.JSONDecodeError as error:
        message = f"{error.msg} at [line:{error.lineno}, column:{error.colno}]"
        raise fail(400, "JSON_PARSER_ERROR", message) from None
