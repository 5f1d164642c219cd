"""The HTTP server: it reads requests, lets faults strike, sends replies, and keeps house between them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

from aiohttp import web

from salesforce_standin import dialects, mishaps, rest_xml
from salesforce_standin.admin import Admin
from salesforce_standin.bulk.queue import Worker
from salesforce_standin.edits import edited
from salesforce_standin.fault_replies import reply_of
from salesforce_standin.faults import Fault
from salesforce_standin.gateway import MAX_HEAD, VERSIONED, Gateway
from salesforce_standin.http_call import Incoming, Reply
from salesforce_standin.org import Org
from salesforce_standin.replies import headers_of, pack, spell

_LOG = logging.getLogger(__name__)
# Bulk API 2.0 takes 100 MB and a little more; the other APIs' limit of 50 MB is not checked.
_MAX_BODY = 120 * 1024 * 1024
# A client that builds "https://<domain>.salesforce.com/…" itself reaches us with the domain "<our address>/x".
_MADE_UP_HOST = re.compile(r"/[^/]*\.salesforce\.com(?=/)")
_HOUSEKEEPING_SECONDS = 2.0


class Server:
    """Serves one org."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.admin = Admin()
        self.worker = Worker(org, org.faults)
        self.gateway = Gateway(org, self.admin)
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
            max_line_size=4 * MAX_HEAD,
            max_field_size=4 * MAX_HEAD,
            shutdown_timeout=2.0,
        )

    async def _housekeeping(self, _app: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._tidy()), asyncio.create_task(self._work())]
        yield
        for task in tasks:
            task.cancel()
        self.org.close()

    async def _tidy(self) -> None:
        """Store counters now and then: a killed server forgets two seconds of calls at most."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)
            if self.org.meter.dirty:
                counters = {"calls": self.org.meter.dump(), "sessions": self.org.sessions.dump()}
                self.org.storage.commit([], counters)
            self.org.cursors.forget_old()
            self.org.bulk.forget_old()

    async def _work(self) -> None:
        """Work off bulk batches between the requests."""
        while True:
            wait = self.worker.wait()
            if wait != 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait)
            self._wake.clear()
            self.worker.step()
            await asyncio.sleep(0)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve a request, or let it go wrong as a fault says."""
        try:
            incoming = await self._read(request)
        except web.RequestPayloadError:
            return _unreadable()
        if incoming.path.startswith("/standin/"):
            reply, _ = self.gateway.answer(incoming)
            self._wake.set()
            return await self._send(request, incoming, reply, None)
        fault = self.org.faults.strike(incoming.method, request.raw_path, incoming.content)
        if fault and fault.action in {"reset_before", "hang"}:
            self._note(incoming, request, 0, 0)
            return await self._break(request, fault)
        reply, written = await self._answer(incoming, fault)
        if fault and fault.action in {"reset_after", "hang_after"}:
            self._note(incoming, request, 0, written)
            return await self._break(request, fault)
        self._note(incoming, request, reply.status, written)
        return await self._send(request, incoming, reply, fault)

    async def _answer(self, incoming: Incoming, fault: Fault | None) -> tuple[Reply, int]:
        """Return the reply, right or as a fault has it, and how many rows were written."""
        if self.gateway.is_crowded(incoming):
            return dialects.spoken(incoming, reply_of("concurrent_limit")), 0
        action = fault.action if fault else ""
        if fault and action == "delay":
            with self.gateway.at_work():
                await asyncio.sleep(fault.seconds)
        if fault and action == "reply":
            return self._instead(incoming, fault), 0
        if action == "end_session":
            self.gateway.end_session(incoming)
        reply, written = self.gateway.answer(incoming)
        if self.org.bulk.waiting:
            self._wake.set()
        if fault and action == "delay_after":
            with self.gateway.at_work():
                await asyncio.sleep(fault.seconds)
        return (_twisted(incoming, reply, fault) if fault else reply), written

    def _instead(self, incoming: Incoming, fault: Fault) -> Reply:
        """Return a fault's reply; the platform had the request, so it counts, though nothing of it was done."""
        reply = dialects.spoken(incoming, fault.answer())
        if reply.status != 401:
            self.gateway.count(incoming)
        return reply

    async def _break(self, request: web.Request, fault: Fault) -> web.Response:
        if fault.action.startswith("hang"):
            return await mishaps.hang(request, fault.seconds)
        return mishaps.reset(request)

    async def _read(self, request: web.Request) -> Incoming:
        address, _, query = request.raw_path.partition("?")
        path = "/" + address.lstrip("/")  # some clients write "//services/…"
        return Incoming(
            method=request.method,
            path=_MADE_UP_HOST.sub("", path, count=1),
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in request.headers.items()},
            content=await request.read() if request.can_read_body else b"",
            base=f"{request.scheme}://{request.host}",
            remote=request.remote or "",
            address_size=len(request.raw_path),
        )

    def _note(self, incoming: Incoming, request: web.Request, status: int, written: int) -> None:
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
        if rest_xml.is_asked_for(incoming):
            reply = rest_xml.spelled(incoming, reply)
        body = spell(reply, indented=incoming.headers.get("x-prettyprint") in {"1", "true"})
        counted = VERSIONED.match(incoming.path) and reply.status not in {401, 410}
        usage = self.org.meter.header() if counted else None
        host = request.host.partition(":")[0]
        headers = headers_of(reply, self.org.clock, host, usage, secure=request.scheme == "https")
        body = pack(body, headers, incoming.headers.get("accept-encoding", ""))
        if fault and fault.action == "truncate":
            return await mishaps.truncate(request, reply.status, headers, body, fault.sent)
        if fault and fault.action == "drip":
            return await mishaps.drip(request, reply.status, headers, body, fault.seconds)
        return web.Response(status=reply.status, headers=headers, body=body)


def _unreadable() -> web.Response:
    """Answer a body that isn't what its Content-Encoding says; where it ends in the stream nobody knows."""
    message = "The request body can't be read with its Content-Encoding"
    reply = web.json_response([{"message": message, "errorCode": "JSON_PARSER_ERROR"}], status=400)
    reply.force_close()
    return reply


def _twisted(incoming: Incoming, reply: Reply, fault: Fault) -> Reply:
    """Return what is said in the place of a reply to something that was done."""
    if fault.action == "reply_after":
        return dialects.spoken(incoming, fault.answer())
    if fault.action == "edit":
        reply.body = edited(reply.body, fault.put, fault.drop)
        reply.headers.update(fault.headers)
    return reply
