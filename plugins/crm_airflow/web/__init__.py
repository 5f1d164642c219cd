"""Our pages in Airflow's UI, below /crm-sync: one FastAPI app, a router a subject, templates by Jinja2."""

from typing import Final

__all__ = ["PREFIX"]

PREFIX: Final = "/crm-sync"
"""Where the pages are, below Airflow's address."""
