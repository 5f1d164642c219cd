"""A server on loopback that answers what a test tells it, over a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from crm_sync.access.login import Session
from crm_sync.model import ApiUsage

ERRORS_401 = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


@dataclass
class Answer:
    """What the server does with one request: answer, or misbehave."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    act: str = "answer"  # or "reset" (no answer at all), "truncate" (half of the body), "hang"
    seconds: float = 0.0


@dataclass
class Seen:
    """A request that reached the server."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Server:
    """Answers from a script, the last answer for ever."""

    def __init__(self) -> None:
        self.script: list[Answer] = [Answer()]
        self.seen: list[Seen] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                outer.handle(self)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.release = threading.Event()
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        self.seen.append(Seen(request.command, request.path, dict(request.headers), body))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if answer.act == "hang":
            self.release.wait(10)
        if answer.act in ("reset", "hang"):
            request.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
            request.close_connection = True
            request.connection.close()
            return
        content = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
        request.send_response_only(answer.status)
        headers = {"Date": formatdate(usegmt=True), "Content-Type": "application/json", **answer.headers}
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2] if answer.act == "truncate" else content)
        if answer.act == "truncate":
            request.close_connection = True

    def close(self) -> None:
        self.release.set()
        self.http.shutdown()
        self.http.server_close()


class FakeLogin:
    """Hands out numbered tokens; a renewed one is another."""

    def __init__(self, instance_url: str) -> None:
        self.instance_url = instance_url
        self.renewed = 0

    def token(self) -> Session:
        return Session(f"00Dtest!SECRET-TOKEN-{self.renewed}", self.instance_url)

    def renew(self, refused: Session) -> Session:
        self.renewed += 1
        return self.token()


class Book:
    """A meter that keeps its bookings and what replies said; ``refuse`` may raise."""

    def __init__(self, refuse: Callable[[], None] | None = None) -> None:
        self.purposes: list[str] = []
        self.times: list[datetime | None] = []
        self.usages: list[tuple[ApiUsage | None, bool]] = []
        self.doubts = False
        self._refuse = refuse

    def book(self, purpose: str) -> None:
        if self._refuse:
            self._refuse()
        self.purposes.append(purpose)

    def saw(self, at: datetime | None, usage: ApiUsage | None, *, exact: bool = False) -> None:
        self.times.append(at)
        self.usages.append((usage, exact))

    def asks_limits(self) -> bool:
        doubts, self.doubts = self.doubts, False
        return doubts


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def login(server: Server) -> FakeLogin:
    return FakeLogin(server.address)


@pytest.fixture
def book() -> Book:
    return Book()
