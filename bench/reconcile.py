"""Figure 6: a complete comparison of a million contacts on each side, and the healing of one in a hundred."""

from __future__ import annotations

from bench.figures import Figure, Report
from bench.pairs import pair
from bench.world import Measured, World, world

__all__ = ["TIMES", "measure"]

TIMES = 100
"""How many times the contacts of a first sync."""
MOST_MEMORY = 500.0
MOST_CALLS = 60


def measure(count: int) -> Report:
    """Compare what agrees, let one in a hundred drift on either side, heal it, compare once more."""
    contacts = count * TIMES
    with world() as made:
        made.measure("sync", "lead")  # a connection's first run looks at everything anew
        pair(made, "contact", contacts)
        made.rest()
        made.execute("vacuum analyze crm_sync.link, crm_sync.image")
        first = made.measure("reconcile", "none", "contact")
        drifted = _drift(made, contacts)
        healed = made.measure("reconcile", "safe", "contact")
        last = made.measure("reconcile", "none", "contact")
    peak = max(_above(each) for each in (first, healed, last))
    calls = int(first.child.said["calls"])
    return Report(
        f"{contacts:,} contacts on each side",
        [
            Figure("verdict on what agrees", "In step", _headline(first), _headline(first).startswith("In step")),
            Figure("time of the comparison", "", f"{first.child.said['stages']['compare']:.0f} s", None, first.child.said["stages"]["compare"]),
            Figure("CPU of the comparison", "", f"{first.cpu:.1f} s ({first.child.cpu:.1f} + Postgres {first.postgres:.1f})", None, first.cpu),
            Figure("memory above Airflow's own, at its peak", f"< {MOST_MEMORY:.0f} MB", f"{peak:.0f} MB", peak < MOST_MEMORY, peak),
            Figure("API calls", f"< {MOST_CALLS}", str(calls), calls < MOST_CALLS, calls),
            Figure("verdict on a drift of 1 %", f"{drifted:,} differ", _headline(healed), f" {drifted:,} contacts differ" in _headline(healed)),
            Figure("healed", f"{drifted:,}", f"{healed.child.said['healing']:,}", healed.child.said["healing"] == drifted),
            Figure("verdict after it", "In step", _headline(last), _headline(last).startswith("In step")),
        ],
        [
            f"The reconciliation that heals, by stage: {_stages(healed)}; {healed.child.said['calls']} calls.",
            f"The stand-in's share of the first comparison: {first.standin:.0f} s of CPU.",
        ],
    )  # fmt: skip


def _drift(made: World, contacts: int) -> int:
    """One in two hundred changed there, and one in two hundred here past the triggers."""
    half = max(1, contacts // 200)
    ids = [
        row[0]
        for row in made.execute("select their_id from crm_sync.link order by their_id limit %s", (half,))
    ]
    made.org.update("Contact", [{"Id": id, "Title": "Drifted there"} for id in ids])
    made.execute(
        "with chosen as (select our_id from crm_sync.link order by their_id desc limit %s) "
        "update gptweb.contacts set title = 'Drifted here' from chosen where id = our_id",
        (half,),
    )
    made.execute("delete from crm_sync.outbox")  # as if no trigger had told
    return 2 * half


def _above(measured: Measured) -> float:
    return float(measured.child.said["peak_mb"] - measured.child.said["airflow_mb"])


def _headline(measured: Measured) -> str:
    return str(measured.child.said["headline"])


def _stages(measured: Measured) -> str:
    return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in measured.child.said["stages"].items())
