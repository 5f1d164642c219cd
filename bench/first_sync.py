"""Figure 3: a first sync of N contacts each way, all of it, beside Airflow's stock operators with the same rows."""

from __future__ import annotations

from bench.figures import Figure, Report
from bench.world import Measured, World, world
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.mapping_files import load_mappings

__all__ = ["measure", "measure_ours", "measure_stock"]

MAPPING = load_mappings("salesforce")["contact"]


def fields_out(mapping: ObjectMapping) -> list[str]:
    """The mapped fields that travel to the CRM, as words `ours=theirs`; the accounts of contacts are left out."""
    return [f"{f.ours}={f.theirs}" for f in mapping.fields if f.direction != "in" and not f.references]


def fields_in(mapping: ObjectMapping) -> list[str]:
    """The mapped fields that travel from it."""
    return [f"{f.ours}={f.theirs}" for f in mapping.fields if f.direction != "out" and not f.references]


def _seed(made: World, count: int) -> None:
    made.seed_ours("contact", count)
    made.seed_theirs("contact", count)


def measure_ours(count: int) -> Measured:
    """One sync by our operators in one process."""
    with world() as made:
        _seed(made, count)
        made.rest()
        return made.measure("sync", "contact")


def measure_stock(count: int) -> tuple[Measured, Measured]:
    """The stock pull into a table of the same columns without our triggers, then the stock push."""
    with world() as made:
        _seed(made, count)
        columns = [pair.partition("=")[0] for pair in fields_in(MAPPING)]
        made.execute(
            "create table landing (id uuid primary key default gen_random_uuid(), their_id text not null unique, "
            + ", ".join(f"{column} text" for column in columns)
            + ")"
        )
        made.rest()
        pull = made.measure("stock-pull", "landing", *fields_in(MAPPING))
        push = made.measure("stock-push", "gptweb.contacts", MAPPING.key.theirs, *fields_out(MAPPING))
        return pull, push


def measure(count: int) -> Report:
    """Ours in one world, the stock operators in another, one after the other."""
    ours = measure_ours(count)
    pull, push = measure_stock(count)
    theirs = pull.cpu + push.cpu
    said = ours.child.said
    above = said["peak_mb"] - said["airflow_mb"]
    settled = said["stages"]["settle"]["counts"]
    figures = [
        Figure("ours: CPU of the process and of Postgres", f"< {theirs:.1f} s (stock)", _split(ours), ours.cpu < theirs, ours.cpu),
        Figure("stock: SalesforceHook to Postgres", "", _split(pull), None, pull.cpu),
        Figure("stock: Postgres to SalesforceBulkOperator", "", _split(push), None, push.cpu),
        Figure("ours to stock", "< 1.00", f"{ours.cpu / theirs:.2f}", ours.cpu < theirs, ours.cpu / theirs),
        Figure("the same without imports", "", f"{_work(ours) / (_work(pull) + _work(push)):.2f}", None),
        Figure("memory above Airflow's own", "< 150 MB", f"{above:.0f} MB (stock {_above(pull):.0f} and {_above(push):.0f} MB)", above < 150, above),
        Figure("API calls of ours", "", f"{said['calls']}, of them {said['stages']['pull']['calls']} of the pull", None, said["calls"]),
        Figure("fields written and known to be written", "all planned", f"{settled['acknowledged']:,} of {settled['planned']:,}",
               settled["acknowledged"] == settled["planned"], settled["acknowledged"]),
        Figure("CPU of the stand-in (counted nowhere)", "", f"ours {ours.standin:.1f} s, stock {pull.standin + push.standin:.1f} s", None),
    ]  # fmt: skip
    stages = ", ".join(f"{name} {stage['cpu']:.1f} s" for name, stage in said["stages"].items())
    return Report(f"First sync of {count:,} contacts each way", figures, [
        f"Ours: one process, {count:,} creates on each side, {count:,} keys written back, with its ledger; imports counted once.",
        "Stock: two processes as two tasks, imports counted in each; no merge, no ledger; its pull fills a bare table.",
        f"Our process by stage: {stages}; imports {said['imports_cpu']:.1f} s, of them Airflow {said['airflow_cpu']:.1f} s.",
        "Both over TLS. Fields to the CRM: " + ", ".join(pair.partition("=")[0] for pair in fields_out(MAPPING)) + f"; from it the first {len(fields_in(MAPPING))}.",
    ])  # fmt: skip


def _split(measured: Measured) -> str:
    return f"{measured.cpu:.1f} s = {measured.child.cpu:.1f} + Postgres {measured.postgres:.1f}"


def _work(measured: Measured) -> float:
    return measured.cpu - float(measured.child.said["imports_cpu"])


def _above(measured: Measured) -> float:
    return float(measured.child.said["peak_mb"] - measured.child.said["airflow_mb"])
