"""What a broken connection means: did the request leave or not, and what helps.

Only a write that certainly never left may be sent again; of everything else the fate is not known.
"""

from __future__ import annotations

import re

import requests
from requests import exceptions
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from crm_sync.errors import Misconfigured, NotSent, RetryLater, SyncError, Unanswered

__all__ = ["network_error"]

HANDSHAKE = re.compile(
    r"CERTIFICATE|WRONG_VERSION|HANDSHAKE|UNKNOWN_CA|UNSUPPORTED_PROTOCOL|RECORD_LAYER_FAILURE"
)
"""OpenSSL's words for trouble before the first byte of a request (and nothing else)."""


def network_error(error: requests.RequestException, *, writes: bool, what: str, host: str) -> SyncError:
    """The error of ours for an exception of requests.

    Messages name the cause by its class: the words of urllib3 repeat the whole address with its query.
    """
    reason = _reason(error)
    said = f"{what} to {host}: {_in_words(reason)}"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Misconfigured(
            f"{said}: its certificate is not trusted here; check the address, or name the authority's file in "
            "REQUESTS_CA_BUNDLE"
        )
    if isinstance(error, exceptions.InvalidURL | exceptions.InvalidSchema | exceptions.InvalidProxyURL):
        return Misconfigured(f"{said}; check the address and the proxy settings")
    if _never_left(error, reason):
        later = NotSent if writes else RetryLater
        return later(f"{said}; nothing was sent; check the address, the network and whether the org is up")
    if writes:
        return Unanswered(
            f"{said} after the request had left; the next reads will show whether it was written"
        )
    return RetryLater(f"{said}; no answer came, it is asked again later")


def _reason(error: BaseException) -> BaseException:
    """The innermost cause that requests and urllib3 still hold."""
    while True:
        inner = error.reason if isinstance(error, MaxRetryError) else next(iter(error.args), None)
        if not isinstance(inner, BaseException):
            return error
        if isinstance(error, MaxRetryError | requests.RequestException):
            error = inner
        else:
            return error


def _never_left(error: requests.RequestException, reason: BaseException) -> bool:
    if isinstance(error, exceptions.ConnectTimeout | exceptions.ProxyError):
        return True
    if isinstance(error, exceptions.SSLError):
        return bool(HANDSHAKE.search(str(error)))
    return isinstance(reason, NewConnectionError | NameResolutionError | ConnectTimeoutError)


def _in_words(reason: BaseException) -> str:
    match reason:
        case NameResolutionError():
            return "its name is not known (DNS)"
        case NewConnectionError():
            return "the connection was refused"
        case ConnectTimeoutError():
            return "no connection within the time-out"
        case ReadTimeoutError():
            return "no answer within the time-out"
    return f"the connection broke ({type(reason).__name__})"
