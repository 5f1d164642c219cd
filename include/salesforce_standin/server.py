"""The HTTP server: authentication, counting, faults, the commit, and the headers that real replies carry."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web
from multidict import CIMultiDict

from salesforce_standin import about, bulk_v1, oauth, query, soap
from salesforce_standin.admin import Admin
from salesforce_standin.bulk_jobs import Queue
from salesforce_standin.bulk_v1 import BulkV1
from salesforce_standin.config import LATEST, OLDEST
from salesforce_standin.errors import ApiError, fail, no_session, not_found
from salesforce_standin.faults import Fault
from salesforce_standin.http_call import NOTHING, Call, Reply
from salesforce_standin.org import Org
from salesforce_standin.router import ROUTER
from salesforce_standin.routes import register
from salesforce_standin.sessions import Session

_LOG = logging.getLogger(__name__)
_MAX_BODY = 52 * 1024 * 1024
# The platform's limit on address and headers.
_MAX_HEAD = 16_384
# A client that builds "https://<domain>.salesforce.com/…" itself reaches us with the domain "<our address>/x".
_MADE_UP_HOST = re.compile(r"/[^/]*\.salesforce\.com(?=/)")
_VERSIONED = re.compile(r"/services/data/v(\d+)\.(\d+)(/.*)?\Z")
_ASYNC = re.compile(r"/services/async/(\d+)\.0(/.*)\Z")
_SOAP = re.compile(r"/services/Soap/([cu])/(\d+)\.0(?:/\w+)?/?\Z")
_GZIP_FROM = 8192
_HOUSEKEEPING_SECONDS = 2.0

register(ROUTER)


@dataclass(slots=True)
class Incoming:
    """A request as it came, and what became known of it while it was served."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes
    base: str
    address_size: int = 0
    user_id: str = ""
    counted: int = 0


class Server:
    """Serves one org."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.admin = Admin()
        self.queue = Queue(org)
        self.bulk = BulkV1(self.queue)
        self._wake = asyncio.Event()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_route("*", "/{tail:.*}", self.handle)
        app.cleanup_ctx.append(self._housekeeping)
        return app

    def runner(self) -> web.AppRunner:
        """Return what serves the application; its own limits lie above the platform's, which answers itself."""
        return web.AppRunner(
            self.application(),
            access_log=None,
            keepalive_timeout=75,
            max_line_size=4 * _MAX_HEAD,
            max_field_size=4 * _MAX_HEAD,
        )

    async def _housekeeping(self, _app: web.Application) -> Any:
        """Store counters now and then: a killed server forgets two seconds of calls at most."""

        async def run() -> None:
            while True:
                await asyncio.sleep(_HOUSEKEEPING_SECONDS)
                if self.org.meter.dirty:
                    self.org.storage.commit(
                        [], {"calls": self.org.meter.dump(), "sessions": self.org.sessions.dump()}
                    )
                query.forget_old(self.org)

        async def work() -> None:
            """Work off bulk batches between the requests."""
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self.queue.busy:
                    self.queue.step()
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(run()), asyncio.create_task(work())]
        yield
        for task in tasks:
            task.cancel()
        self.org.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve a request, or let it go wrong as a fault says."""
        incoming = await self._read(request)
        fault = None
        if not incoming.path.startswith("/standin/"):
            fault = self.admin.faults.strike(incoming.method, request.raw_path, incoming.content)
        if fault and fault.action == "delay":
            await asyncio.sleep(fault.seconds)
        if fault and fault.action in {"reset_before", "reply"}:
            if fault.action == "reset_before":
                return self._reset(request, incoming)
            reply, written = Reply(fault.status, fault.reply, dict(fault.headers)), 0
            # The platform had the request, so it counts; nothing of it was done.
            self._count(incoming)
        else:
            reply, written = self._answer(incoming)
        if fault and fault.action == "reset_after":
            return self._reset(request, incoming, written)
        if fault and fault.action == "delay_after":
            await asyncio.sleep(fault.seconds)
        if fault and fault.action == "reply_after":
            reply = Reply(fault.status, fault.reply, dict(fault.headers))
        self._note(incoming, request, reply.status, written)
        return await self._send(request, incoming, reply, fault)

    async def _read(self, request: web.Request) -> Incoming:
        path = _MADE_UP_HOST.sub("", request.rel_url.raw_path, count=1)
        return Incoming(
            method=request.method,
            path=path,
            query=dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)),
            headers={name.lower(): value for name, value in request.headers.items()},
            content=await request.read() if request.can_read_body else b"",
            base=f"{request.scheme}://{request.host}",
            address_size=len(request.raw_path),
        )

    def _answer(self, incoming: Incoming) -> tuple[Reply, int]:
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
        if incoming.address_size > _MAX_HEAD:
            raise fail(414, "URI_TOO_LONG", "The URI is too long")
        if incoming.address_size + sum(len(k) + len(v) for k, v in incoming.headers.items()) > _MAX_HEAD:
            raise fail(431, "REQUEST_HEADER_FIELDS_TOO_LARGE", "The header fields are too large")

    def _serve(self, incoming: Incoming) -> Reply:  # noqa: PLR0911 - one way out per API
        path = incoming.path
        self._refuse_long_head(incoming)
        if path.rstrip("/") == "/services/data":
            return Reply(body=about.versions())
        if match := _VERSIONED.match(path):
            return self._rest(incoming, int(match[1]), int(match[2]), match[3] or "")
        if path.startswith("/services/oauth2/"):
            return self._oauth(incoming, path.removeprefix("/services/oauth2/").rstrip("/"))
        if match := _SOAP.match(path):
            return soap.serve(self.org, incoming.content, int(match[2]), incoming.base, match[1])
        if match := _ASYNC.match(path):
            return self._bulk(incoming, int(match[1]), match[2])
        if path.startswith("/standin/"):
            session = self._authenticate(incoming)
            return self.admin.serve(
                self.org, self._call(incoming, session, path.removeprefix("/standin"), LATEST)
            )
        if path.startswith("/id/"):
            return oauth.identity(self.org, self._authenticate(incoming).user_id, incoming.base)
        raise not_found()

    def _rest(self, incoming: Incoming, version: int, minor: int, path: str) -> Reply:
        if version < OLDEST and version > 20:
            message = f"The requested API version v{version}.0 has been retired"
            raise fail(410, "UNSUPPORTED_API_VERSION", message)
        if not OLDEST <= version <= LATEST or minor:
            raise not_found()
        session = self._authenticate(incoming)
        if not self.org.meter.allows():
            raise fail(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self._count(incoming)
        call = self._call(incoming, session, path.rstrip("/") or "", version)
        return ROUTER.dispatch(self.org, call)

    def _bulk(self, incoming: Incoming, version: int, path: str) -> Reply:
        """Serve Bulk API 1.0, whose token comes in a header of its own."""
        session = self.org.sessions.find(incoming.headers.get("x-sfdc-session", ""))
        if session is None:
            raise bulk_v1.no_session()
        if not self.org.meter.allows():
            raise bulk_v1.over_limit()
        self._count(incoming)
        incoming.user_id = session.user_id
        posted = incoming.method == "POST"
        call = Call(
            method=incoming.method,
            path=path,
            version=version,
            user_id=session.user_id,
            base=incoming.base,
            body=_json(incoming) if posted and not path.rstrip("/").endswith("/batch") else None,
            content=incoming.content,
        )
        reply = self.bulk.serve(call)
        self._wake.set()
        return reply

    def _count(self, incoming: Incoming) -> None:
        if _VERSIONED.match(incoming.path) or _ASYNC.match(incoming.path):
            self.org.meter.count()
            incoming.counted += 1

    def _call(self, incoming: Incoming, session: Session, path: str, version: int) -> Call:
        incoming.user_id = session.user_id
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
        user = self.org.tables["User"].rows.get(session.user_id) if session else None
        if session is None or user is None or not user.get("IsActive"):
            raise no_session()
        return session

    def _oauth(self, incoming: Incoming, name: str) -> Reply:
        if name == "userinfo":
            session = self._authenticate(incoming)
            incoming.user_id = session.user_id
            return oauth.userinfo(self.org, session.user_id, incoming.base)
        form = {
            **incoming.query,
            **dict(parse_qsl(incoming.content.decode("utf-8", "replace"), keep_blank_values=True)),
        }
        authorization = incoming.headers.get("authorization", "")
        if incoming.method != "POST" and not (name == "revoke" and incoming.method == "GET"):
            raise fail(
                405, "METHOD_NOT_ALLOWED", f"HTTP Method '{incoming.method}' not allowed. Allowed are POST"
            )
        if name == "token":
            return oauth.token(self.org, form, authorization, incoming.base)
        if name == "revoke":
            return oauth.revoke(self.org, form)
        if name == "introspect":
            return oauth.introspect(self.org, form, authorization, incoming.base)
        raise not_found()

    # -- replies ------------------------------------------------------------------------------------------------
    def _reset(self, request: web.Request, incoming: Incoming, written: int = 0) -> web.Response:
        """Break the connection without a word."""
        self._note(incoming, request, 0, written)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _note(self, incoming: Incoming, request: web.Request, status: int, written: int) -> None:
        if incoming.path.startswith("/standin/"):
            return
        user = self.org.tables["User"].rows.get(incoming.user_id)
        self.admin.note(
            {
                "at": self.org.clock.stamp(),
                "method": incoming.method,
                "path": request.raw_path,
                "status": status,
                "user": user["Username"] if user else None,
                "counted": incoming.counted,
                "rows_written": written,
            }
        )

    async def _send(
        self, request: web.Request, incoming: Incoming, reply: Reply, fault: Fault | None
    ) -> web.StreamResponse:
        body = _spell(reply, pretty=incoming.headers.get("x-prettyprint") in {"1", "true"})
        headers = self._headers(incoming, reply, request)
        if len(body) >= _GZIP_FROM and "gzip" in incoming.headers.get("accept-encoding", ""):
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        if fault and fault.action == "truncate":
            return await self._truncate(request, reply.status, headers, body, fault.sent)
        return web.Response(status=reply.status, headers=headers, body=body)

    async def _truncate(
        self, request: web.Request, status: int, headers: CIMultiDict[str], body: bytes, size: int
    ) -> web.StreamResponse:
        """Announce the whole body, send its beginning, and break the connection."""
        headers["Content-Length"] = str(len(body))
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        await response.write(body[:size])
        if request.transport is not None:
            request.transport.close()
        return response

    def _headers(self, incoming: Incoming, reply: Reply, request: web.Request) -> CIMultiDict[str]:
        """Return the headers that recorded replies carry (facts/salesforce.md 3.2)."""
        headers: CIMultiDict[str] = CIMultiDict(reply.headers)
        headers["Date"] = self.org.clock.http_date()
        host = request.host.partition(":")[0]
        year = time.strftime("%a, %d-%b-%Y %H:%M:%S GMT", time.gmtime(self.org.clock.now() + 31_536_000))
        tail = f"path=/; expires={year}; Max-Age=31536000"
        headers.add("Set-Cookie", f"CookieConsentPolicy=0:1; domain={host}; {tail}")
        headers.add("Set-Cookie", f"BrowserId={secrets.token_urlsafe(16)}; domain=.salesforce.com; {tail}")
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Robots-Tag"] = "none"
        headers["Cache-Control"] = "no-cache,must-revalidate,max-age=0,no-store,private"
        if _VERSIONED.match(incoming.path) and reply.status not in {401, 410}:
            headers["Sforce-Limit-Info"] = self.org.meter.header()
        if reply.body is not NOTHING:
            headers["Content-Type"] = reply.content_type
        headers["Vary"] = "Accept-Encoding"
        headers["Server"] = "sfdcedge"
        if request.scheme == "https":
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        return headers


def _json(incoming: Incoming) -> Any:
    if not incoming.content or incoming.method in {"GET", "HEAD", "DELETE"}:
        return None
    kind = incoming.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = f"Content-Type header specified in HTTP request is not supported: {kind}"
        raise fail(415, "UNSUPPORTED_MEDIA_TYPE", message)
    try:
        return orjson.loads(incoming.content)
    except orjson.JSONDecodeError as error:
        message = f"{error.msg} at [line:{error.lineno}, column:{error.colno}]"
        raise fail(400, "JSON_PARSER_ERROR", message) from None


def _spell(reply: Reply, *, pretty: bool) -> bytes:
    if reply.body is NOTHING:
        return b""
    if isinstance(reply.body, bytes):
        return reply.body
    return orjson.dumps(reply.body, option=orjson.OPT_INDENT_2 if pretty else 0)
