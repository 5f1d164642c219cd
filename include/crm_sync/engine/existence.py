"""Existence: a delete on either side puts the link to sleep and changes nothing on the other side.

The base stays, so that what is typed meanwhile on either side is dirty and travels when both are alive again
(algorithm.md 6.1, "asleep").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.values import same
from crm_sync.ledger.trail import Line
from crm_sync.model import Link, OurRecord, Side

__all__ = ["fall_asleep", "lines_of"]


def fall_asleep(link: Link, ours: OurRecord | None) -> Link:
    """The link as gone while one side is deleted, as live again once both are there."""
    both = link.their_alive and ours is not None and not ours.deleted
    if link.state == "live" and not both:
        return replace(link, state="gone")
    if link.state == "gone" and both:
        return replace(link, state="live")
    return link


def lines_of(mapping: ObjectMapping, link: Link, after: Link, ours: OurRecord | None) -> Iterator[Line]:
    """What the trail says about falling asleep or waking: the event, and each value that can't travel now."""
    if link.state == after.state:
        return
    who: dict[str, Any] = {"our_id": link.our_id, "their_id": link.their_id}
    if after.state == "live":
        yield Line(
            "undeleted",
            "noted",
            **who,
            detail="both records are there again; edits made meanwhile travel now",
        )
        return
    ours_gone = ours is None or ours.deleted
    side: Side = "ours" if ours_gone else "theirs"
    where = "GPTWeb" if ours_gone else "the CRM"
    yield Line(
        f"deleted_{side}",
        "noted",
        **who,
        side=side,
        detail=f"deleted in {where}; the other side stays as it is",
    )
    for mapped in mapping.fields:
        name = mapped.ours
        held = ours.values.get(name) if ours is not None else None
        shown, base = link.seen.get(name), link.base_theirs.get(name)
        if (
            ours is not None
            and mapped.direction != "out"
            and name in link.base_ours
            and held != link.base_ours[name]
        ):
            yield Line(f"deleted_{side}", "overruled", **who, side="ours", field=name, before=held, after=shown,
                       base=link.base_ours[name], detail="an edit in GPTWeb that had not travelled; it stays here")  # fmt: skip
        if name in link.base_theirs and name in link.seen and shown != base and not same(shown, held):
            yield Line(f"deleted_{side}", "overruled", **who, side="theirs", field=name, before=shown, after=held,
                       base=base, detail="an edit in the CRM that had not travelled")  # fmt: skip
