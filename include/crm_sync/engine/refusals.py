"""What one refused row means: it is read again, tried again in this run, or what was refused is parked.

Like an answer it is only collected in ``Work``; ``keep`` stores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from crm_sync.decide.merge import KEY
from crm_sync.engine.answers import Work
from crm_sync.engine.claim import Sending
from crm_sync.ledger import parking
from crm_sync.model import Failure, Link, Written

__all__ = ["refused"]

REFERENCE_REFUSED = (
    "It is read again; if it is there, share it with the integration user or refer to another: the reference is tried "
    "again by itself."
)


def refused(work: Work, sent: Sending, answer: Written, link: Link) -> None:
    """Sort a refused row by what to do next: ask whether it exists, try again, or park what was refused.

    What it refers to is read again before the next try (algorithm.md 6.3).  If that is there and refused all the same, the
    record goes without it, and the reference is tried again at growing distances, not in every run.
    """
    failures = answer.failures
    words = "; ".join(f"{f.code}: {f.message}" for f in failures)
    gone = any(f.kind == "gone" for f in failures)
    # What was there in the same call, just before, is not gone: reading it once more would teach nothing.
    unseen = gone and (answer.before is None or bool(answer.before.fate))
    reference = _refused_reference(work, sent, failures)
    if reference is not None and link.link_id in work.asked:
        _park(work, sent, failures, link, words, transient=True, reference=reference)
    elif unseen or reference is not None:
        # Only a read of deleted rows proves a delete (algorithm.md 6.1.4): nothing is decided on this answer.
        if unseen:
            work.stored.append((replace(link, reread=True), None))
        if reference is not None:
            work.parents.append(str(sent.write.values[reference]))
            work.refusals.append(_reference_refused(sent, failures[0], link, reference, held=False))
        what = "the record" if reference is None else "what it refers to"
        _supersede(work, sent, link, f"{words}; {what} is read again")
    elif gone or any(f.kind == "transient" for f in failures):
        if work.last:
            _park(work, sent, failures, link, words, transient=True)
        else:
            _supersede(work, sent, link, f"tried again in this run: {words}")
            _again(work, sent, link)
            work.again.postponed = True
    else:
        _park(work, sent, failures, link, words)


def _supersede(work: Work, sent: Sending, link: Link, detail: str) -> None:
    work.outcomes.append(
        (sent.change.change_id, "superseded", tuple(sent.intent.values), link.their_id, detail)
    )


def _refused_reference(work: Work, sent: Sending, failures: Sequence[Failure]) -> str | None:
    """The reference, if the record may have been refused for what it refers to."""
    reference = work.mapping.reference
    if reference is None or sent.write.values.get(reference.ours) is None:
        return None
    column = reference.ours
    why = any(f.kind == "gone" or (f.kind == "transient" and column in f.fields) for f in failures)
    return column if why else None


def _reference_refused(
    sent: Sending, cause: Failure, link: Link, reference: str, *, held: bool
) -> parking.Refusal:
    return parking.Refusal(
        link.object, "theirs", cause.code, cause.message, REFERENCE_REFUSED, link.link_id, link.our_id, link.their_id,
        reference, sent.intent.values[reference], transient=True, held=held,
    )  # fmt: skip


def _park(
    work: Work, sent: Sending, failures: Sequence[Failure], link: Link, words: str, *, transient: bool = False,
    reference: str | None = None,
) -> None:  # fmt: skip
    named = set() if transient else {column for f in failures for column in f.fields}
    if reference is not None:
        named = {reference}
    refused = [c for c in sent.intent.values if c in named]
    whole = not refused or (sent.intent.creates and not named <= set(sent.intent.values))
    cause = failures[0]
    remedy = " ".join(dict.fromkeys(f.remedy for f in failures if f.remedy))
    rest = [] if whole else [c for c in sent.intent.values if c not in refused]
    parked = [c for c in sent.intent.values if c not in rest]
    detail = f"{'busy: ' if transient else ''}{words}. {remedy}"
    work.outcomes.append((sent.change.change_id, "parked", parked, link.their_id, detail))
    if rest:
        work.outcomes.append(
            (sent.change.change_id, "superseded", rest, link.their_id, "sent again without what was refused")
        )
        _again(work, sent, link)
    shared: dict[str, Any] = {
        "link_id": link.link_id, "our_id": link.our_id, "their_id": link.their_id, "transient": transient,
    }  # fmt: skip
    if whole and sent.intent.creates:
        work.refusals.append(
            parking.Refusal(
                link.object, "theirs", cause.code, words, remedy, **shared, our_version=sent.ours.version
            )
        )
        return
    if reference is not None:
        work.refusals.append(_reference_refused(sent, cause, link, reference, held=True))
        return
    for column in parked:
        why = next((f for f in failures if column in f.fields), cause)
        work.refusals.append(parking.Refusal(
            link.object, "theirs", why.code, why.message, why.remedy, **shared, field=column,
            value=sent.intent.values[column], our_version=sent.ours.version if whole or column == KEY else None,
        ))  # fmt: skip


def _again(work: Work, sent: Sending, link: Link) -> None:
    if link.their_id is None:
        work.again.creates.add(link.our_id)
    else:
        work.again.links.add(link.link_id)
