"""Connections with their settings, as they are kept: made, loaded, changed, pinned to an org, provisioned, removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.mapping_changes import adjusted
from crm_sync.decide.mapping_changes import problems as mapping_problems
from crm_sync.decide.settings import Settings, check_scope, parse, refuse
from crm_sync.errors import Misconfigured, Missing
from crm_sync.ledger import replan, trail
from crm_sync.ledger.capture import check_columns
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.mapping_files import load_mappings
from crm_sync.model import Object, Value

__all__ = [
    "Connection",
    "change_settings",
    "connect",
    "connections",
    "load",
    "mark_provisioned",
    "mark_removed",
    "pin",
]


@dataclass(frozen=True)
class Connection:
    """One CRM account joined to GPTWeb."""

    name: str
    vendor: str
    settings: Settings
    organization_id: str | None
    provisioned_at: datetime | None
    active: bool
    first_synced_at: datetime | None = None

    @cached_property
    def mappings(self) -> dict[Object, ObjectMapping]:
        """The mapping files of its CRM with its own changes."""
        return adjusted(load_mappings(self.vendor), self.settings.mapping)


def load(tx: Transaction, name: str) -> Connection:
    """The live settings of a connection; an unknown name lists the known ones."""
    found = [c for c in connections(tx) if c.name == name]
    if not found:
        known = ", ".join(c.name for c in connections(tx)) or "none yet"
        raise Missing(
            f"there is no connection {name!r} (known: {known}); make it with: python -m crm_sync connect {name}"
        )
    return found[0]


def connections(tx: Transaction) -> list[Connection]:
    """All connections, by name."""
    rows = tx.rows(
        "select name, vendor, settings, organization_id, provisioned_at, active, first_synced_at from crm_sync.connection order by name"
    )
    return [Connection(r[0], r[1], parse(r[0], r[2]), *r[3:]) for r in rows]


def _check(tx: Transaction, name: str, vendor: str, data: dict[str, object]) -> Settings:
    """Settings that a run can work with: each for itself, the mapping as a whole, and the scope beside the mapping."""
    settings = parse(name, data)
    files = load_mappings(vendor)
    refuse(name, mapping_problems(files, settings.mapping))
    mappings = adjusted(files, settings.mapping)
    for object in settings.mapping:
        check_columns(tx, mappings[object])
    check_scope(name, settings, mappings)
    return settings


def connect(tx: Transaction, name: str, vendor: str, settings: dict[str, object]) -> Connection:
    """Make the connection if it is new (all our records go to its outbox), or change its settings."""
    _check(tx, name, vendor, settings)
    # Waits for edits in flight: their trigger does not see the new connection, nor would the fill see them.
    tx.run("lock table gptweb.accounts, gptweb.contacts, gptweb.leads in share mode")
    made = tx.run(
        "insert into crm_sync.connection (name, vendor, settings) values (%s, %s, %s) on conflict do nothing",
        (name, vendor, Jsonb(settings)),
    )
    if made:
        replan.fill_outbox(tx, name)
    elif settings:
        change_settings(tx, name, settings)
    return load(tx, name)


def change_settings(
    tx: Transaction, name: str, settings: dict[str, object], who: str = "the command line"
) -> None:
    """Merge settings into the stored ones; the next run works by them, and the trail says who changed what."""
    known = tx.rows("select vendor, settings from crm_sync.connection where name = %s for update", (name,))
    if not known:
        load(tx, name)  # it says which ones there are
    vendor, current = known[0]
    merged = {**current, **settings}
    before, after = (
        parse(name, current).model_dump(mode="json"),
        _check(tx, name, vendor, merged).model_dump(mode="json"),
    )
    tx.run("update crm_sync.connection set settings = %s where name = %s", (Jsonb(merged), name))
    changed = [setting for setting in after if before[setting] != after[setting]]
    if not replan.DECISIVE.isdisjoint(changed):
        replan.forget_settings(tx, name)
    trail.note(tx, None, name, "connection", [
        trail.Line("setting_changed", "noted", field=setting, before=_word(before[setting]), after=_word(after[setting]), detail=f"by {who}", actor=who)
        for setting in changed
    ])  # fmt: skip


def _word(value: Any) -> Value:
    return value if value is None or isinstance(value, str | int | float) else orjson.dumps(value).decode()


def mark_provisioned(tx: Transaction, name: str) -> None:
    """The CRM has every field and permission; scheduled syncs may begin."""
    tx.run(
        "update crm_sync.connection set provisioned_at = coalesce(provisioned_at, clock_timestamp()) where name = %s",
        (name,),
    )


def pin(tx: Transaction, name: str, organization: str) -> None:
    """A connection belongs to the first org that it met: links and bases of one org mean nothing in another."""
    tx.run(
        "update crm_sync.connection set organization_id = %s where name = %s and organization_id is null",
        (organization, name),
    )
    pinned = tx.one("select organization_id from crm_sync.connection where name = %s", (name,))
    if pinned != organization:
        raise Misconfigured(
            f"Connection {name} belongs to org {pinned}, but this log-in is one of org {organization}. Log in to the first "
            "org, with its address and keys in Airflow; another org, or a refreshed sandbox, needs a connection of its own: "
            "python -m crm_sync connect <name>."
        )


def mark_removed(tx: Transaction, name: str) -> None:
    """The CRM lacks our fields from now on: no sync begins, and after another provisioning everything is read anew."""
    tx.run("update crm_sync.connection set provisioned_at = null where name = %s", (name,))
    replan.read_again(tx, name)
