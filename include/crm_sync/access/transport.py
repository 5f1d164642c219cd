"""The one way out to a CRM: every call is booked before it leaves, carries the session, and is never blindly repeated.

A ``requests.Session``, so that simple-salesforce and the stock Airflow hook can be handed it and are metered too.
One per thread: requests promises no more.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

import orjson
import requests
import urllib3
from requests.utils import rewind_body
from tenacity import (
    Retrying,
    retry_if_exception,
    retry_if_result,
    stop_after_attempt,
    wait_exponential_jitter,
)

from crm_sync.access.lines import lines_of
from crm_sync.access.login import Login, Session, is_loopback, trusted_address
from crm_sync.access.network import network_error
from crm_sync.access.replies import BUSY, call_error
from crm_sync.access.reply import (
    ApiUsage,
    Reply,
    allocation,
    api_usage,
    is_dead_session,
    is_used_up,
    json_body,
    server_date,
)
from crm_sync.errors import Misconfigured, NotSent, RetryLater, SyncError
from crm_sync.ports import LIMITS, Meter

__all__ = ["ApiUsage", "Download", "MeteredSession", "Reply"]

CONNECT_TIMEOUT = 10.0
UNCOUNTED = re.compile(r"^/services/(oauth2/|data/?$)")
"""Salesforce counts neither the OAuth endpoints nor the list of versions (facts/salesforce.md 1, 3.2)."""
VERSIONED = re.compile(r"^/services/data/v\d+\.0(?=/)")


@dataclass(frozen=True, slots=True)
class Download:
    """A reply that is read while it arrives: its headers, and its text line by line, line ends as they are."""

    headers: Mapping[str, str]
    lines: Iterator[str]


@dataclass(slots=True)
class _Trip:
    """One call, however often it is asked again; its session is renewed once at most."""

    purpose: str
    writes: bool
    deadline: float | None
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    response: requests.Response
    sent_at: datetime


class MeteredSession(requests.Session):
    """Calls to one org.

    ``meter`` books them, ``login`` gives and renews the session, ``connection`` is only for messages.  ``purpose`` is
    what calls of other libraries are booked under, those that come in by ``request`` instead of by ``call``.
    """

    def __init__(
        self,
        login: Login,
        meter: Meter,
        *,
        connection: str = "salesforce",
        purpose: str = "sync",
        read_timeout: float = 120.0,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.login = login
        self.meter = meter
        self.connection = connection
        self.purpose = purpose
        self.read_timeout = read_timeout
        self.attempts = attempts
        self.usage: ApiUsage | None = None
        self._sleep = sleep
        self._monotonic = monotonic
        self.headers["User-Agent"] = "gptweb-crm-sync"
        self.headers["Sforce-Call-Options"] = "client=gptweb_crm_sync"
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def __repr__(self) -> str:
        return f"<MeteredSession of {self.connection}>"

    # ----------------------------------------------------------------------------------------- our calls

    def call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        csv: IO[bytes] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        purpose: str,
        writes: bool = False,
        deadline: float | None = None,
    ) -> Reply:
        """One call, booked under ``purpose``; a reply that is no success becomes an error that says what to do.

        ``csv``: a file to be sent, from its beginning, never held whole.
        ``writes``: it may change records, so it is not repeated, and Unanswered is raised when its fate is not known.
        ``deadline`` (time.monotonic): nothing is sent when the answer may come later than that.
        """
        data, kind = _content(json, csv)
        accepted = {"Accept": "application/json", **(headers or {}), **kind}
        prepared = self._prepared(method, path, params, accepted, data)
        settings = self.merge_environment_settings(prepared.url or "", {}, None, None, None)
        answer = self._exchange(prepared, _Trip(purpose, writes, deadline), settings)
        response = answer.response
        what = _what(prepared)
        body = json_body(response, what, writes=writes)
        if response.status_code >= 300:
            raise call_error(response.status_code, body, writes=writes, what=what, connection=self.connection)
        # A write that was answered is answered, whatever its headers lack; a read needs to know its time.
        date = server_date(response.headers) or (answer.sent_at if writes else None)
        if date is None:
            raise RetryLater(f"{what}: the reply carries no Date, so the time of the read is not known")
        return Reply(response.status_code, response.headers, body, date, answer.sent_at, response.elapsed)

    @contextmanager
    def download(self, path: str, *, params: Mapping[str, str], purpose: str) -> Iterator[Download]:
        """One call whose reply is text without end in sight (CSV); RetryLater when it breaks off on the way."""
        prepared = self._prepared("GET", path, params, {"Accept": "text/csv"})
        settings = self.merge_environment_settings(prepared.url or "", {}, True, None, None)
        what = _what(prepared)
        with self._exchange(prepared, _Trip(purpose, False, None), settings).response as response:
            if response.status_code >= 300:
                body = json_body(response, what, writes=False)
                raise call_error(
                    response.status_code, body, writes=False, what=what, connection=self.connection
                )
            raw: Any = response.raw
            raw.decode_content = True  # gzip
            try:
                yield Download(response.headers, lines_of(raw))
            except (urllib3.exceptions.HTTPError, OSError, UnicodeDecodeError) as error:
                words = f"{what}: the reply broke off ({type(error).__name__}); it is asked again later"
                raise RetryLater(words) from None

    def _prepared(
        self, method: str, path: str, params: Mapping[str, str] | None, headers: Mapping[str, str],
        data: bytes | IO[bytes] | None = None,
    ) -> requests.PreparedRequest:  # fmt: skip
        address = trusted_address(self.login.token().instance_url) + path
        return self.prepare_request(requests.Request(method, address, headers, data=data, params=params))

    # ------------------------------------------------------------------------- everything that leaves

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """A call of another library, by ``get``, ``post`` or ``request``."""
        writes = (request.method or "GET").upper() not in ("GET", "HEAD", "OPTIONS")
        return self._exchange(request, _Trip(self.purpose, writes, None), kwargs).response

    def _exchange(
        self, request: requests.PreparedRequest, trip: _Trip, settings: Mapping[str, Any]
    ) -> _Answer:
        """A write once, a read until it is answered or the attempts are used up; each try is booked."""
        if trip.writes:
            return self._with_session(request, trip, settings)
        tries = Retrying(
            retry=retry_if_exception(_may_be_asked_again)
            | retry_if_result(lambda a: a.response.status_code in BUSY),
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential_jitter(multiplier=0.5, max=20, jitter=0.5),
            sleep=self._sleep,
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        answer: _Answer = tries(self._with_session, request, trip, settings)
        return answer

    def _with_session(
        self, request: requests.PreparedRequest, trip: _Trip, settings: Mapping[str, Any]
    ) -> _Answer:
        """Renew a refused session once and replay once: a 401 says that nothing was processed."""
        session = self.login.token()
        answer = self._leave(request, session, trip, settings)
        if is_dead_session(answer.response) and not trip.renewed:
            trip.renewed = True
            answer = self._leave(request, self.login.renew(session), trip, settings)
        if is_dead_session(answer.response):
            body = json_body(answer.response, "", writes=trip.writes)
            raise call_error(401, body, writes=trip.writes, what=_what(request), connection=self.connection)
        return answer

    def _leave(
        self, request: requests.PreparedRequest, session: Session, trip: _Trip, settings: Mapping[str, Any]
    ) -> _Answer:
        host, path = self._address(request, session)
        self._check_deadline(request, trip)
        if not UNCOUNTED.match(path):
            self._ask_limits(path)
            self.meter.book(trip.purpose)
        self._check_deadline(request, trip)  # booking may have waited for the database
        options = {**settings, "timeout": (CONNECT_TIMEOUT, self.read_timeout), "allow_redirects": False}
        if is_loopback(host):
            options["proxies"] = {}
        request.headers["Authorization"] = f"Bearer {session.access_token}"
        if "X-SFDC-Session" in request.headers:  # where Bulk API 1.0 looks for the token
            request.headers["X-SFDC-Session"] = session.access_token
        if getattr(request, "_body_position", None) is not None:
            rewind_body(request)  # a file that was sent before the session was renewed
        sent_at = datetime.now(UTC)
        try:
            response = super().send(request, **options)
        except requests.RequestException as error:
            raise network_error(error, writes=trip.writes, what=_what(request), host=host) from None
        self._take_note(response)
        return _Answer(response, sent_at)

    def _take_note(self, response: requests.Response) -> None:
        usage = api_usage(response.headers)
        # What is no error may be a download, which is read as it arrives.
        if response.status_code >= 400 and is_used_up(response.status_code, response.content):
            limit = (usage or self.usage or ApiUsage(0, 1)).limit
            usage = ApiUsage(limit, limit)
        self.usage = usage or self.usage
        self.meter.saw(server_date(response.headers), usage)

    def _ask_limits(self, path: str) -> None:
        """Ask the org for its exact figure where the replies' is too coarse to tell whether a call may leave."""
        if not self.meter.asks_limits():
            return
        exact = None
        if version := VERSIONED.match(path):
            try:
                exact = allocation(self.call("GET", f"{version[0]}/limits", purpose=LIMITS).body)
            except SyncError:
                exact = None  # the user may not view the set-up: the replies' figure has to do
        self.meter.saw(None, exact, exact=True)

    def _address(self, request: requests.PreparedRequest, session: Session) -> tuple[str, str]:
        """Host and path; the token goes to the session's own instance only.

        simple-salesforce builds every address as https; an instance on loopback may speak plain http.
        """
        wanted, instance = urlsplit(request.url or ""), urlsplit(trusted_address(session.instance_url))
        if (wanted.hostname, wanted.port) != (instance.hostname, instance.port):
            raise Misconfigured(
                f"a call to {wanted.hostname} was stopped: connection {self.connection} belongs to {instance.netloc}; "
                "enter that address as the connection's instance"
            )
        request.url = urlunsplit(wanted._replace(scheme=instance.scheme))
        return instance.hostname or "", wanted.path

    def _check_deadline(self, request: requests.PreparedRequest, trip: _Trip) -> None:
        if trip.deadline is None:
            return
        longest = CONNECT_TIMEOUT + self.read_timeout
        left = trip.deadline - self._monotonic()
        if left <= longest:
            raise NotSent(
                f"{_what(request)} was not sent: an answer may take {longest:.0f} s, "
                f"but the claim on its records ends in {max(left, 0):.0f} s; the next run sends it"
            )


def _content(json: object, csv: IO[bytes] | None) -> tuple[bytes | IO[bytes] | None, dict[str, str]]:
    """What a call carries, and the header that says what that is."""
    if csv is not None:
        csv.seek(0)
        return csv, {"Content-Type": "text/csv; charset=UTF-8"}
    if json is not None:
        return orjson.dumps(json), {"Content-Type": "application/json"}
    return None, {}


def _what(request: requests.PreparedRequest) -> str:
    """The call in a message: without its query, which may hold people's addresses."""
    return f"{request.method} {urlsplit(request.url or '').path}"


def _may_be_asked_again(error: BaseException) -> bool:
    return isinstance(error, RetryLater) and not isinstance(error, NotSent)
