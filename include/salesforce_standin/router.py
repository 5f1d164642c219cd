"""From a method and a path to the resource that answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from salesforce_standin.errors import fail, not_found
from salesforce_standin.http_call import Call, Reply

if TYPE_CHECKING:
    from salesforce_standin.org import Org

Handler = Callable[..., Reply]

_NAME = r"([A-Za-z][A-Za-z0-9_]*)"
_PART = r"([^/]+)"


class Router:
    """The resources under /services/data/vXX.0, in the order in which they are tried."""

    def __init__(self) -> None:
        self._routes: list[tuple[re.Pattern[str], dict[str, Handler]]] = []

    def add(self, pattern: str, **handlers: Handler) -> None:
        """Serve a path; ``{name}`` stands for an API name, ``{part}`` for anything without a slash."""
        regex = pattern.replace("{name}", _NAME).replace("{part}", _PART)
        self._routes.append((re.compile(regex + r"/?\Z"), handlers))

    def dispatch(self, org: Org, call: Call) -> Reply:
        """Let the resource answer."""
        allowed: list[str] = []
        for regex, handlers in self._routes:
            match = regex.match(call.path)
            if match is None:
                continue
            handler = handlers.get("GET" if call.method == "HEAD" else call.method)
            if handler is None:
                allowed.extend(handlers)
                continue
            arguments: tuple[Any, ...] = tuple(unquote(p) for p in match.groups() if p is not None)
            return handler(org, call, *arguments)
        if allowed:
            names = ",".join(sorted({*allowed, "HEAD"} if "GET" in allowed else set(allowed)))
            message = f"HTTP Method '{call.method}' not allowed. Allowed are {names}"
            error = fail(405, "METHOD_NOT_ALLOWED", message)
            error.headers["Allow"] = names
            raise error
        raise not_found()


ROUTER = Router()
