"""What a fault does to a connection: it stays silent, breaks off, or crawls."""

from __future__ import annotations

import asyncio

from aiohttp import web
from multidict import CIMultiDict

_LONGEST = 900.0
_LOOK = 0.05
_DROPS = 10


def reset(request: web.Request) -> web.Response:
    """Break the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def hang(request: web.Request, seconds: float) -> web.Response:
    """Say nothing until the client gives up, or until the seconds are over; then break the connection."""
    loop = asyncio.get_running_loop()
    end = loop.time() + (seconds or _LONGEST)
    # The client's going shows in the transport only; there is no event to wait for.
    while request.transport is not None and not request.transport.is_closing() and loop.time() < end:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK)
    return reset(request)


async def truncate(
    request: web.Request, status: int, headers: CIMultiDict[str], body: bytes, size: int
) -> web.StreamResponse:
    """Announce the whole body, send its beginning, and break the connection."""
    response = await _begin(request, status, headers, body)
    await response.write(body[:size])
    if request.transport is not None:
        request.transport.close()
    return response


async def drip(
    request: web.Request, status: int, headers: CIMultiDict[str], body: bytes, seconds: float
) -> web.StreamResponse:
    """Send the body in ten drops over the seconds."""
    response = await _begin(request, status, headers, body)
    size = -(-len(body) // _DROPS) or 1
    for start in range(0, len(body), size):
        await asyncio.sleep(seconds / _DROPS)
        await response.write(body[start : start + size])
    await response.write_eof()
    return response


async def _begin(
    request: web.Request, status: int, headers: CIMultiDict[str], body: bytes
) -> web.StreamResponse:
    headers["Content-Length"] = str(len(body))
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    return response
