"""The FastAPI app of our pages, built when the first request comes: only the API server ever needs it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

__all__ = ["LazyApp", "create_app"]


@cache
def create_app() -> FastAPI:
    """All routes; none is listed for the public (docs and schema are open to anyone in a plugin's app)."""
    from fastapi import FastAPI  # noqa: PLC0415  the scheduler loads plugins too, and has no use for it

    from crm_airflow.web import (  # noqa: PLC0415  as above
        activity,
        adding,
        alerts,
        api,
        approvals,
        conflicts,
        connecting,
        connections,
        erasing,
        exporting,
        mail_server,
        mapping,
        parked,
        problems,
        reports,
        runs,
        scope,
        searching,
        settings,
        setup,
        static,
        trail,
    )

    app = FastAPI(title="GPTWeb CRM Sync", docs_url=None, redoc_url=None, openapi_url=None)
    for part in (
        static, connections, adding, alerts, mail_server, connecting, setup, reports, scope, activity, conflicts, searching, runs, approvals,
        exporting, parked, mapping, settings, trail, erasing, api,
    ):  # fmt: skip
        app.include_router(part.router)
        if part is not api and hasattr(part, "api"):
            app.include_router(part.api)
    problems.install(app)
    return app


class LazyApp:
    """An ASGI app that is built on its first request; it remembers which app it is mounted in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        from crm_airflow.web.airflow_api import AIRFLOW  # noqa: PLC0415  as above

        # In the scope itself, no copy: what a route takes out of it is to stay out of the access log.
        scope[AIRFLOW] = scope.get("app")
        await create_app()(scope, receive, send)
