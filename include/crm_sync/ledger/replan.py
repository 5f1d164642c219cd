"""What becomes work again: everything that other settings or another mapping held back, and records to be read anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from crm_sync.decide.mapping_changes import Mappings, counterparts
from crm_sync.decide.settings import Settings
from crm_sync.ledger import approval
from crm_sync.ledger.database import Jsonb, Transaction

__all__ = ["DECISIVE", "fill_outbox", "forget_settings", "read_again", "replan_if_changed"]

DECISIVE = {
    "direction", "conflict_policy", "create_accounts", "create_contacts", "create_leads", "their_delete", "our_archive",
    "scope",
}  # fmt: skip
"""The settings that a plan depends on."""


def replan_if_changed(
    tx: Transaction, name: str, settings: Settings, mappings: Mappings, run_id: int
) -> bool:
    """When settings or mapping are not those of the last run, what they held back is work again."""
    digest = _digest(settings, mappings)
    before, mapped = tx.rows(
        "select settings_digest, mapped from crm_sync.connection where name = %s for update", (name,)
    )[0]
    changed: bool = before != digest
    if changed or mapped is None:
        _adopt(tx, name, mapped or {}, mappings, run_id)
    if changed:
        approval.withdraw(tx, name)
        tx.run("update crm_sync.connection set settings_digest = %s where name = %s", (digest, name))
        if before is not None and before.rpartition(".")[2] != digest.rpartition(".")[2]:
            read_again(tx, name)  # a field that is new was never read
        tx.run(
            "update crm_sync.link set dirty = true, dirty_since = clock_timestamp() where connection = %s and not dirty",
            (name,),
        )
        tx.run(
            "update crm_sync.parked set lifted_at = clock_timestamp(), lifted_because = 'settings or mapping changed' "
            "where connection = %s and lifted_at is null",
            (name,),
        )
        fill_outbox(tx, name)
    return changed


def forget_settings(tx: Transaction, name: str) -> None:
    """They were changed: a run under way may have worked by these, so the next one plans anew even if they are changed back."""
    tx.run(
        "update crm_sync.connection set settings_digest = '.' || split_part(settings_digest, '.', 2) where name = %s",
        (name,),
    )


def read_again(tx: Transaction, name: str) -> None:
    """Let the next sync read every record of theirs once more, whenever it was last changed."""
    tx.run("delete from crm_sync.cursor where connection = %s", (name,))


def fill_outbox(tx: Transaction, name: str) -> None:
    """Let the next sync look at every record of ours."""
    tx.run(
        """insert into crm_sync.outbox (connection, object, our_id, version, since)
        select %(c)s, 'account', id, version, now() from gptweb.accounts union all
        select %(c)s, 'contact', id, version, now() from gptweb.contacts union all
        select %(c)s, 'lead', id, version, now() from gptweb.leads
        on conflict (connection, object, our_id) do nothing""",
        {"c": name},
    )


def _digest(settings: Settings, mappings: Mappings) -> str:
    chosen = sha256(settings.model_dump_json(include=DECISIVE).encode()).hexdigest()
    mapping = sha256("".join(repr(mappings[o]) for o in sorted(mappings)).encode()).hexdigest()
    return f"{chosen}.{mapping}"


def _adopt(
    tx: Transaction, name: str, before: Mapping[str, Mapping[str, str]], mappings: Mappings, run_id: int
) -> None:
    """Remember what each field's counterpart is, and forget what is known of a field that has another one now.

    Base and image speak of the old one, and would make its values look like edits of the new one.  One that was taken
    out is remembered: it may come back with another counterpart.
    """
    now = {object: counterparts(mapping) for object, mapping in mappings.items()}
    for object, columns in now.items():
        moved = [c for c, was in before.get(object, {}).items() if columns.get(c, was) != was]
        if moved:
            _forget(tx, name, object, moved)
            _close_doubts(tx, name, object, moved, run_id)
    merged = {object: {**before.get(object, {}), **columns} for object, columns in now.items()}
    tx.run("update crm_sync.connection set mapped = %s where name = %s", (Jsonb(merged), name))


def _forget(tx: Transaction, name: str, object: str, columns: Sequence[str]) -> None:
    parameters = {"c": name, "o": object, "columns": list(columns)}
    tx.run(
        """update crm_sync.image i set base_ours = base_ours - %(columns)s::text[], base_theirs = base_theirs - %(columns)s::text[],
          seen = seen - %(columns)s::text[], seen_lo = seen_lo - %(columns)s::text[], seen_hi = seen_hi - %(columns)s::text[]
        from crm_sync.link l where l.link_id = i.link_id and l.connection = %(c)s and l.object = %(o)s""",
        parameters,
    )
    # Without a digest the next read stores the record, even if the new counterpart holds what the old one held.
    tx.run(
        "update crm_sync.link set seen_digest = null where connection = %(c)s and object = %(o)s", parameters
    )
    tx.run(
        "update crm_sync.stray set values = values - %(columns)s::text[], digest = '' where connection = %(c)s and object = %(o)s",
        parameters,
    )


def _close_doubts(tx: Transaction, name: str, object: str, columns: Sequence[str], run_id: int) -> None:
    """What a later read shows of these fields says nothing about what was sent to their old counterparts."""
    tx.run(
        """with doubt as (
          select n.intent_id, n.change_id, array(select k from jsonb_object_keys(n.values) k
            where k = any(%(columns)s) and k <> all(n.settled)) as fields,
            not exists (select from jsonb_object_keys(n.values) k where k <> all(%(columns)s) and k <> all(n.settled)) as whole
          from crm_sync.intent n join crm_sync.link l on l.link_id = n.link_id
          where n.closed_by is null and l.connection = %(c)s and l.object = %(o)s for update of n),
        told as (
          insert into crm_sync.outcome (change_id, run_id, outcome, fields, detail)
          select change_id, %(run)s, 'superseded', fields,
            'its answer was lost, and the field is mapped to another one by now: the old one may or may not have been written'
          from doubt where fields <> '{}')
        update crm_sync.intent n set settled = n.settled || d.fields,
          closed_by = case when d.whole then 'expiry' end, closed_at = case when d.whole then clock_timestamp() end
        from doubt d where n.intent_id = d.intent_id and d.fields <> '{}'""",
        {"c": name, "o": object, "columns": list(columns), "run": run_id},
    )
