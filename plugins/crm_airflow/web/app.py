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

    from crm_airflow.web import (  # noqa: PLC0415
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
    for router in (
        static.router,
        connections.router,
        adding.router,
        alerts.router,
        alerts.api,
        mail_server.router,
        connecting.router,
        setup.router,
        reports.router,
        reports.api,
        scope.router,
        scope.api,
        activity.router,
        activity.api,
        conflicts.router,
        searching.router,
        runs.router,
        approvals.router,
        approvals.api,
        exporting.router,
        exporting.api,
        parked.router,
        parked.api,
        mapping.router,
        mapping.api,
        settings.router,
        settings.api,
        trail.router,
        trail.api,
        erasing.router,
        erasing.api,
        api.router,
    ):
        app.include_router(router)
    problems.install(app)
    return app


class LazyApp:
    """An ASGI app that is built on its first request; it remembers which app it is mounted in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        from crm_airflow.web.airflow_api import AIRFLOW  # noqa: PLC0415

        # In the scope itself, no copy: what a route takes out of it is to stay out of the access log.
        scope[AIRFLOW] = scope.get("app")
        await create_app()(scope, receive, send)
