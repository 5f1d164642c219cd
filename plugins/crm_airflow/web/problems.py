"""What is shown when something can't be: a page for people, problem details (RFC 9457) for the API, a log-in for strangers."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from crm_airflow.web.pages import page
from crm_sync.errors import Missing, RetryLater, SyncError

__all__ = ["API", "API_PROBLEMS", "Problem", "install"]

API: Final = "/api/v1"
LOG: Final = logging.getLogger(__name__)
MEDIA_TYPE: Final = "application/problem+json"


class Problem(BaseModel):
    """Why a request was not answered as asked."""

    title: str = Field(description="The status in words")
    status: int = Field(description="The HTTP status")
    detail: str = Field(description="What happened, and what to do next")


API_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
    }
    for status in (400, 401, 403, 404, 409, 422, 503)
}
_REFUSED: Final = (403, 409, 422)
"""What is answered before anything is done."""


def install(app: FastAPI) -> None:
    """Let the app answer every problem this way."""
    for error, answer in (
        (HTTPException, _http), (RequestValidationError, _invalid), (SyncError, _sync), (psycopg.Error, _database),
        (Exception, _bug),
    ):  # fmt: skip
        app.add_exception_handler(error, answer)


async def _http(request: Request, error: Any) -> Response:
    if error.status_code == 401 and not _is_api(request) and request.method == "GET":
        return _log_in(request)
    told = {
        401: "You are not signed in to Airflow, or no longer: sign in and try again.",
        403: "Your role in Airflow does not allow this: reading needs read access to the connection's DAG, changing needs the "
        "right to edit Airflow's connections. Ask whoever administers Airflow.",
        404: "There is no such page.",
    }
    own = isinstance(error.detail, str) and error.detail not in {
        "Forbidden",
        "Not Found",
        "Not authenticated",
    }
    detail = error.detail if own else told.get(error.status_code, HTTPStatus(error.status_code).phrase)
    return _answer(request, error.status_code, detail, error.headers)


async def _invalid(request: Request, error: Any) -> Response:
    lines = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
    return _answer(request, 422, "; ".join(lines))


async def _sync(request: Request, error: Any) -> Response:
    status = 404 if isinstance(error, Missing) else 503 if isinstance(error, RetryLater) else 409
    return _answer(request, status, str(error))


async def _database(request: Request, error: Any) -> Response:
    if isinstance(error, psycopg.errors.QueryCanceled):
        return _answer(
            request, 503, "GPTWeb's database took too long to answer: try again, or look at less at once."
        )
    if isinstance(
        error,
        psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName | psycopg.errors.UndefinedColumn,
    ):
        told = (
            "GPTWeb's database has no ledger yet, or one of another release: run python -m crm_sync migrate."
        )
        return _answer(request, 503, told)
    LOG.error("CRM Sync: %s", type(error).__name__, exc_info=error)
    return _answer(
        request, 503, "GPTWeb's database broke off: try again; the log of Airflow's API server says more."
    )


async def _bug(request: Request, error: Any) -> Response:
    """Starlette logs the error itself."""
    told = "CRM Sync met something that it does not know: the log of Airflow's API server says what. Please report it."
    return _answer(request, 500, told)


def _answer(request: Request, status: int, detail: str, headers: Any = None) -> Response:
    title = HTTPStatus(status).phrase
    if _is_api(request):
        content = Problem(title=title, status=status, detail=detail).model_dump()
        kept = {**(headers or {}), "Cache-Control": "no-store"}
        return JSONResponse(content, status, kept, media_type=MEDIA_TYPE)
    refused = request.method != "GET" and status in _REFUSED
    return page(
        request, "problem.html", status=status, problem=detail, heading=_HEADINGS.get(status, title), refused=refused
    )  # fmt: skip


_HEADINGS: Final = {
    401: "Signed out",
    403: "Not allowed",
    404: "Not found",
    409: "Not done",
    422: "Not understood",
    500: "Something went wrong",
    503: "Not reachable now",
}


def _log_in(request: Request) -> Response:
    """Airflow's own log-in, which brings the browser back here."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    airflow = request.scope.get("root_path", "").rpartition("/")[0]
    return RedirectResponse(f"{airflow}/api/v2/auth/login?next={quote(here, safe='')}", 303)


def _is_api(request: Request) -> bool:
    # Not request.url: it reads the path anew, and a path may hold anything.
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", "")).startswith(API)
