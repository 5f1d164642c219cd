"""A reconciliation as a page for people: the verdict first, then sums, charts, samples with both values, and the cost.

The page is whole in itself: nothing is loaded from anywhere, and it holds no script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from crm_sync.decide.causes import CAUSES, DRIFT
from crm_sync.model import OBJECTS
from crm_sync.reconciliation_charts import across, over_time

__all__ = ["HISTORY", "page"]

HISTORY: Final = 30
"""How many reports the last chart shows."""
FIELDS: Final = 15
"""How many fields the chart by field shows, those that differ most."""
UNNOTICED, AWAITED = "no sync would notice", "the next sync sees to it"
TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
Report = Mapping[str, Any]


def page(report: Report, history: Sequence[Report], back: str | None = None) -> str:
    """The page of a report as ``ledger.reconciliation`` gives it; ``history``: it and those before it, oldest first.

    ``back``: the address of the connection's own page.
    """
    return TEMPLATES.get_template("reconciliation.html").render(
        report=report,
        back=back,
        causes=CAUSES,
        sums=_sums(report),
        by_cause=_by_cause(report),
        by_field=_by_field(report),
        over_time=_over_time(history),
        samples=_samples(report),
    )


def _sums(report: Report) -> dict[str, Any]:
    """Records by cause and object, with a sum and how many of them wait; causes in their usual order."""
    counts = pd.DataFrame(report["counts"], columns=["object", "cause", "records", "waiting"])
    objects = [o for o in OBJECTS if (counts["object"] == o).any()]
    table = counts.pivot_table(index="cause", columns="object", values="records", aggfunc="sum", fill_value=0)
    waiting = counts.groupby("cause")["waiting"].sum()
    rows = [
        {
            "cause": cause, "drift": cause in DRIFT, "waiting": int(waiting[cause]), "all": int(table.loc[cause].sum()),
            "records": [int(table.loc[cause, o]) for o in objects],
        }
        for cause in CAUSES if cause in table.index
    ]  # fmt: skip
    return {"objects": objects, "rows": rows}


def _by_cause(report: Report) -> str | None:
    counts = pd.DataFrame(report["counts"], columns=["object", "cause", "records", "waiting"])
    drift = counts[counts["cause"].isin(DRIFT)].groupby("cause")[["records", "waiting"]].sum()
    if drift.empty:
        return None
    drift = drift.sort_values("records", ascending=False)
    labels = [CAUSES[cause] for cause in drift.index]
    return across(
        labels,
        {UNNOTICED: (drift["records"] - drift["waiting"]).tolist(), AWAITED: drift["waiting"].tolist()},
    )


def _by_field(report: Report) -> str | None:
    fields = pd.DataFrame(report["fields"], columns=["object", "cause", "field", "records"])
    drift = fields[fields["cause"].isin(DRIFT)].groupby(["object", "field"])["records"].sum()
    if drift.empty:
        return None
    drift = drift.sort_values(ascending=False).head(FIELDS)
    return across([f"{object}: {field}" for object, field in drift.index], {"records": drift.tolist()})


def _over_time(history: Sequence[Report]) -> str:
    past = pd.DataFrame(history, columns=["at", "differing", "waiting"])
    moments = pd.to_datetime(past["at"], utc=True, format="ISO8601").dt.strftime("%m-%d %H:%M")
    parts = {UNNOTICED: (past["differing"] - past["waiting"]).tolist(), AWAITED: past["waiting"].tolist()}
    return over_time(moments.tolist(), parts)


def _samples(report: Report) -> list[tuple[str, list[Report]]]:
    """Samples by cause, in the usual order."""
    found = [(cause, [s for s in report["samples"] if s["cause"] == cause]) for cause in CAUSES]
    return [(cause, some) for cause, some in found if some]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


TEMPLATES.filters.update(
    value=_value, number=lambda n: f"{n:,}", moment=lambda at: f"{str(at)[:19].replace('T', ' ')} UTC"
)
