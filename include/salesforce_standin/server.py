"""The HTTP server: it reads requests, lets faults strike, sends replies, and keeps house between them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict

from salesforce_standin.admin import Admin
from salesforce_standin.bulk.queue import Worker
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
        self.worker = Worker(org, self.admin.faults)
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
            self.gateway.count(incoming)
        else:
            reply, written = self.gateway.answer(incoming)
            if self.org.bulk.waiting:
                self._wake.set()
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
            remote=request.remote or "",
            address_size=len(request.raw_path),
        )

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
        body = spell(reply, pretty=incoming.headers.get("x-prettyprint") in {"1", "true"})
        counted = VERSIONED.match(incoming.path) and reply.status not in {401, 410}
        usage = self.org.meter.header() if counted else None
        host = request.host.partition(":")[0]
        headers = headers_of(reply, self.org.clock, host, usage, secure=request.scheme == "https")
        body = pack(body, headers, incoming.headers.get("accept-encoding", ""))
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
