"""The right to erasure: one person's values leave GPTWeb's record, the ledger and the trail, and no read brings them back."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import psycopg

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.errors import Missing, RetryLater
from crm_sync.ledger.database import Transaction
from crm_sync.model import Image

__all__ = ["erase", "kept_out"]


def erase(tx: Transaction, our_id: UUID, who: str, why: str) -> list[str]:
    """Erase the person of this contact or lead; returns what was done and what is left to do, in words.

    RetryLater while a run is under way.  What the CRM holds is its users' to delete; it is not read again.
    """
    if not tx.one(
        "select exists (select 1 from gptweb.contacts where id = %(id)s) or exists (select 1 from gptweb.leads where id = %(id)s) "
        "or exists (select 1 from crm_sync.change where our_id = %(id)s)",
        {"id": our_id},
    ):
        raise Missing(f"neither GPTWeb nor the audit trail knows a person {our_id}")
    try:
        return [row[0] for row in tx.rows("select crm_sync.erase_person(%s, %s, %s)", (our_id, who, why))]
    except psycopg.errors.ObjectInUse as error:
        raise RetryLater(str(error.diag.message_primary)) from error


def kept_out(
    tx: Transaction, connection: str, mapping: ObjectMapping, strangers: Sequence[Image]
) -> list[Image]:
    """Of these records without a link those that may be stored: an erased person's is passed over."""
    if not strangers:
        return []
    rows = tx.rows(
        "select their_id from crm_sync.erased where their_id = any(%s) and their_object = %s and connection = %s",
        ([image.id for image in strangers], mapping.theirs, connection),
    )
    erased = {row[0] for row in rows}
    return [image for image in strangers if image.id not in erased]
