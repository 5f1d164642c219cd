"""What a person who is asked for approval reads: why, how much, of whom, at what cost; Markdown without any values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm_sync.decide.safety import PLACE
from crm_sync.ledger.planned import Sample

__all__ = ["preview"]


def preview(
    connection: str,
    run_id: int,
    digest: str,
    reasons: Sequence[str],
    counts: Mapping[str, Mapping[str, int]],
    samples: Sequence[Sample],
    calls: int,
) -> str:
    """The page of one question.  It is kept by Airflow, so it names records and fields, and no person's data."""
    parts = [
        f"Run {run_id} of connection **{connection}** made plan `{digest}`, and has written nothing. It asks because:",
        "\n".join(f"- {reason}" for reason in reasons),
        f"**The whole plan**, about {calls:,} API calls:",
        _table(counts),
    ]
    if samples:
        parts += ["**For example:**", "\n".join(f"- {_named(sample)}" for sample in samples)]
    parts.append(
        "Approved is this plan and nothing else: what changes meanwhile is left out, and follows with the next run. "
        f"All its values, before and after, are in `crm_sync.change` under `run_id = {run_id}`."
    )
    return "\n\n".join(parts)


def _table(counts: Mapping[str, Mapping[str, int]]) -> str:
    names = sorted({name for row in counts.values() for name in row})
    head = ["| |" + "".join(f" {name} |" for name in names), "|---|" + "---:|" * len(names)]
    rows = [
        f"| {object} |" + "".join(f" {row.get(n, 0):,} |" for n in names) for object, row in counts.items()
    ]
    return "\n".join([*head, *rows])


def _named(sample: Sample) -> str:
    theirs = f", `{sample.their_id}` in the CRM" if sample.their_id else ""
    fields = f" ({', '.join(sample.fields)})" if sample.op == "update" else ""
    return f"{sample.op} {PLACE[sample.side]}: {sample.object} `{sample.our_id}`{theirs}{fields}"
