"""The ids that a link had before, each with the image that its record died with (algorithm.md 6.1.3).

A record that was deleted and made again by us may still be taken out of the recycle bin: it is never a stranger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.observe import is_newer
from crm_sync.ledger import parking
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.model import Image, Link

__all__ = ["keep", "let_go", "recognise"]

CAME_BACK = "came_back"
REMEDY = "delete it again, or merge the two records in the CRM; the link follows"


def keep(
    tx: Transaction, connection: str, mapping: ObjectMapping, links: Sequence[Link], owners: Mapping[int, int], why: str
) -> None:  # fmt: skip
    """Remember the present ids of these links as former ones of the links that ``owners`` names (their own by default)."""
    rows = [
        {"their_id": link.their_id, "link_id": owners.get(link.link_id, link.link_id), "died_with": link.seen}
        for link in links
    ]
    tx.run(
        """insert into crm_sync.former as f (connection, their_object, their_id, link_id, why, died_with)
        select %s, %s, w.their_id, w.link_id, %s, w.died_with
        from jsonb_to_recordset(%s) as w (their_id text, link_id bigint, died_with jsonb)
        on conflict (connection, their_object, their_id) do update set link_id = excluded.link_id, why = excluded.why,
          died_with = excluded.died_with, at = excluded.at""",
        (connection, mapping.theirs, why, Jsonb(rows)),
    )


def let_go(tx: Transaction, connection: str, mapping: ObjectMapping, links: Sequence[Link]) -> None:
    """Part these links from their dead records, so that they are created again.

    Nothing is agreed with the record to come: what the dead one had stays with its id, for the case that it comes back.
    """
    if not links:
        return
    keep(tx, connection, mapping, links, {}, "deleted")
    ids = [link.link_id for link in links]
    tx.run(
        """update crm_sync.link set their_id = null, state = 'creating', keyed = false, their_alive = true, dirty = false,
          base_alive_ours = true, base_alive_theirs = true, match_key = null, match_second = null, seen_digest = null, spelling_of = null,
          claim_run = null, claim_until = null
        where link_id = any(%s)""",
        (ids,),
    )
    tx.run(
        "update crm_sync.image set base_ours = '{}', base_theirs = '{}', seen = '{}', seen_lo = '{}', seen_hi = '{}' "
        "where link_id = any(%s)",
        (ids,),
    )
    tx.run(
        """insert into crm_sync.outbox (connection, object, our_id, version)
        select connection, object, our_id, 0 from crm_sync.link where link_id = any(%s) order by our_id
        on conflict (connection, object, our_id) do nothing""",
        (ids,),
    )


def recognise(
    tx: Transaction,
    run_id: int,
    connection: str,
    mapping: ObjectMapping,
    strangers: Sequence[Image],
    sent_no: int,
) -> tuple[dict[int, Image], set[str]]:
    """Which strangers are former records of a link: those that it takes back, by link, and the ids of all of them.

    One that comes back before its successor was made is the link's again, its base the image that it died with.  One
    that comes back beside its successor is left to a person; nothing is made of it.  While a successor is in doubt, only
    our key tells: Salesforce does not give it back to the old record once the new one has it.
    """
    if not tx.one("select exists (select 1 from crm_sync.former)"):
        return {}, set()  # spares a first sync the look-up of every stranger
    rows = tx.rows(
        """select f.their_id, f.link_id, f.why, l.our_id::text, l.their_id, l.state, l.seen_stamp, l.seen_recv,
          exists (select 1 from crm_sync.intent i where i.link_id = l.link_id and i.closed_by is null)
        from crm_sync.former f join crm_sync.link l using (link_id)
        where f.connection = %s and f.their_object = %s and f.their_id = any(%s) order by f.link_id for update of l""",
        (connection, mapping.theirs, [image.id for image in strangers]),
    )
    by_id = {image.id: image for image in strangers}
    back: dict[int, Image] = {}
    beside: list[parking.Refusal] = []
    dead: list[str] = []
    for their_id, link_id, why, our_id, successor, state, stamp, recv, in_doubt in rows:
        image = by_id[their_id]
        if image.deleted:
            dead.append(their_id)
        elif state == "creating" and why == "deleted" and (image.our_id == our_id or not in_doubt):
            if is_newer(sent_no, image.stamp, recv, stamp):
                back[link_id] = image
        else:
            cause = f"it came back after {successor or 'a new record'} had taken its place as the counterpart of {our_id}"
            beside.append(
                parking.Refusal(mapping.object, "ours", CAME_BACK, cause, REMEDY, their_id=their_id)
            )
    _take_back(tx, connection, mapping, back)
    parking.park(tx, run_id, connection, beside)
    if dead:
        parking.lift_linked(tx, connection, mapping.object, [], dead)
    return back, {row[0] for row in rows}


def _take_back(tx: Transaction, connection: str, mapping: ObjectMapping, back: Mapping[int, Image]) -> None:
    if not back:
        return
    tx.run(
        """update crm_sync.link l set their_id = w.their_id, state = 'live', dirty = true, keyed = false
        from unnest(%s::bigint[], %s::text[]) as w (link_id, their_id) where l.link_id = w.link_id""",
        (list(back), [image.id for image in back.values()]),
    )
    # A reference is kept in our ids on our side: its base there is found anew.
    reference = mapping.reference.ours if mapping.reference else ""
    tx.run(
        """update crm_sync.image i set base_ours = f.died_with - %s::text, base_theirs = f.died_with, seen = f.died_with
        from crm_sync.former f
        where f.connection = %s and f.their_object = %s and f.their_id = any(%s) and i.link_id = f.link_id""",
        (reference, connection, mapping.theirs, [image.id for image in back.values()]),
    )
    tx.run(
        "delete from crm_sync.former where connection = %s and their_object = %s and their_id = any(%s)",
        (connection, mapping.theirs, [image.id for image in back.values()]),
    )
