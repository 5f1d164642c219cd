"""Figure 5: a hundred thousand contacts each way by Bulk API 2.0, beside Airflow's stock hook and SalesforceBulkOperator."""

from __future__ import annotations

from bench.figures import Figure, Report
from bench.first_sync import MAPPING, fields_in, fields_out
from bench.world import Measured, World, world

__all__ = ["TIMES", "measure", "measure_pull", "measure_push"]

TIMES = 10
"""How many times the contacts of a first sync."""
MOST_MEMORY = 150.0
BEST_PACE = 5_600
"""Rows a second: the most that Salesforce says of its Bulk API, 20 million an hour ("Bulk API Parallelism")."""
BOTH = "Ours: a whole sync with merge, ledger, claims and every row's result; imports counted. Stock: no merge, no ledger."


def measure(count: int) -> Report:
    """Both halves."""
    pull, push = measure_pull(count), measure_push(count)
    return Report(
        pull.title.replace("from the CRM", "each way"),
        [*pull.figures, *push.figures],
        list(dict.fromkeys([*pull.notes, *push.notes])),
    )


def measure_pull(count: int) -> Report:
    """The pull of both in worlds with the same contacts there."""
    contacts = count * TIMES
    ours, stock = _pull(contacts, ours=True), _pull(contacts, ours=False)
    ratio = ours.cpu / stock.cpu
    return Report(f"{contacts:,} contacts from the CRM", [
        Figure("pull: CPU of ours to that of stock hook and Postgres hook", "<= 0.50", f"{ratio:.2f} = {_split(ours)} / {_split(stock)}", ratio <= 0.5, ratio),
        Figure("pull: the same without imports", "", f"{_work(ours) / _work(stock):.2f} = {_work(ours):.1f} s / {_work(stock):.1f} s", None),
        Figure("pull: memory above Airflow's own", f"< {MOST_MEMORY:.0f} MB", f"{_above(ours):.0f} MB (stock {_above(stock):.0f})", _above(ours) < MOST_MEMORY, _above(ours)),
        Figure("pull: API calls", "", f"{_calls(ours)}", None, _calls(ours)),
        Figure("pull: fields written and known to be written", "all planned", _settled(ours), _all(ours)),
    ], [BOTH, f"Pull by stage: {_stages(ours)}."])  # fmt: skip


def measure_push(count: int) -> Report:
    """The push of both in worlds with the same contacts here, beside a CRM that works as fast as this machine, and one with a pace."""
    contacts = count * TIMES
    ours, stock = _push(contacts, ours=True), _push(contacts, ours=False)
    paced, beside = _push(contacts, ours=True, pace=BEST_PACE), _push(contacts, ours=False, pace=BEST_PACE)
    calls, most = max(_calls(ours), _calls(paced)), 15 if contacts <= 100_000 else contacts // 6_000
    return Report(f"{contacts:,} contacts to the CRM", [
        _by_the_clock("at the best pace of a real org", paced, beside),
        _by_the_clock("by a CRM that shares our cores and never waits", ours, stock),
        Figure("push: CPU of ours to that of SalesforceBulkOperator", "", f"{ours.cpu / stock.cpu:.2f} = {_split(ours)} / {_split(stock)}", None, ours.cpu / stock.cpu),
        Figure("push: memory above Airflow's own", f"< {MOST_MEMORY:.0f} MB", f"{_above(ours):.0f} MB (stock {_above(stock):.0f})", _above(ours) < MOST_MEMORY, _above(ours)),
        Figure("push: API calls", f"<= {most}", f"{_calls(ours)}, at the pace {_calls(paced)}", calls <= most, calls),
        Figure("push: CPU of the stand-in (counted nowhere)", "", f"ours {ours.standin:.1f} s, stock {stock.standin:.1f} s", None),
        Figure("push: fields written and known to be written", "all planned", _settled(ours), _all(ours)),
    ], [
        BOTH,
        f"The pace: {BEST_PACE:,} rows a second, the most that Salesforce says of its Bulk API.",
        f"Push by stage: {_stages(ours)}; at the pace: {_stages(paced)}.",
    ])  # fmt: skip


def _by_the_clock(where: str, ours: Measured, stock: Measured) -> Figure:
    ratio = ours.child.wall / stock.child.wall
    said = f"{ratio:.2f} = {ours.child.wall:.1f} s / {stock.child.wall:.1f} s"
    return Figure(
        f"push: time of ours to that of SalesforceBulkOperator, {where}", "<= 1.00", said, ratio <= 1, ratio
    )


def _pull(contacts: int, *, ours: bool) -> Measured:
    with world() as made:
        made.seed_theirs("contact", contacts)
        if ours:
            _choose(made, "direction", "pull")
            made.rest()
            return made.measure("sync", "contact")
        names = ", ".join(f"{pair.partition('=')[0]} text" for pair in fields_in(MAPPING))
        made.execute(
            f"create table landing (id uuid primary key default gen_random_uuid(), their_id text not null unique, {names})"
        )
        made.rest()
        return made.measure("stock-pull", "landing", *fields_in(MAPPING))


def _push(contacts: int, *, ours: bool, pace: int = 0) -> Measured:
    with world() as made:
        made.seed_ours("contact", contacts)
        made.pace(pace)
        made.rest()
        if ours:
            return made.measure("sync", "contact")
        return made.measure("stock-push", "gptweb.contacts", MAPPING.key.theirs, *fields_out(MAPPING))


def _choose(made: World, setting: str, value: str) -> None:
    made.execute(
        "update crm_sync.connection set settings = settings || jsonb_build_object(%s::text, %s::text)",
        (setting, value),
    )


def _split(measured: Measured) -> str:
    return f"{measured.cpu:.1f} s ({measured.child.cpu:.1f} + Postgres {measured.postgres:.1f})"


def _work(measured: Measured) -> float:
    return measured.cpu - float(measured.child.said["imports_cpu"])


def _above(measured: Measured) -> float:
    return float(measured.child.said["peak_mb"] - measured.child.said["airflow_mb"])


def _calls(measured: Measured) -> int:
    return int(measured.child.said["calls"])


def _all(measured: Measured) -> bool:
    sums = measured.child.said["stages"]["settle"]["counts"]
    return bool(sums["planned"] == sums["acknowledged"] > 0)


def _settled(measured: Measured) -> str:
    sums = measured.child.said["stages"]["settle"]["counts"]
    return f"{sums['acknowledged']:,} of {sums['planned']:,}"


def _stages(measured: Measured) -> str:
    return ", ".join(
        f"{name} {stage['wall']:.1f} s (CPU {stage['cpu']:.1f})"
        for name, stage in measured.child.said["stages"].items()
    )
