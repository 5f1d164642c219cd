"""Query jobs under way: which one reads an object for a run, and what its rows have to be dated by, whoever takes them.

A job shows records as they were when it was made.  So the number and the times of the try that made it count for all
its rows: by those of a later try, old values would look newer than what was read or written meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.database import Transaction
from crm_sync.model import Object

__all__ = ["Begun", "begun", "digest_of", "done", "keep"]


@dataclass(frozen=True, slots=True)
class Begun:
    """A read as the try that made its job began it: its request number, our time, the CRM's time.

    ``mapping``: the digest of the mapping that it was asked by.
    """

    job: str
    mapping: str
    sent_no: int
    began: datetime
    read_start: datetime


def digest_of(mapping: ObjectMapping) -> str:
    """Tells whether a read was asked by this mapping."""
    return sha256(repr(mapping).encode()).hexdigest()


def begun(tx: Transaction, run_id: int) -> dict[Object, Begun]:
    """What this run has under way, by object."""
    rows = tx.rows(
        "select object, job_id, mapping, sent_no, began, read_start from crm_sync.query_job where run_id = %s",
        (run_id,),
    )
    return {object: Begun(*fields) for object, *fields in rows}


def keep(tx: Transaction, run_id: int, object: Object, read: Begun) -> None:
    """A job was made for a read of this run."""
    tx.run(
        """insert into crm_sync.query_job (run_id, object, job_id, mapping, sent_no, began, read_start)
        values (%s, %s, %s, %s, %s, %s, %s) on conflict (run_id, object) do update set job_id = excluded.job_id,
          mapping = excluded.mapping, sent_no = excluded.sent_no, began = excluded.began, read_start = excluded.read_start""",
        (run_id, object, read.job, read.mapping, read.sent_no, read.began, read.read_start),
    )


def done(tx: Transaction, run_id: int, object: Object) -> None:
    """All rows of the read are stored."""
    tx.run("delete from crm_sync.query_job where run_id = %s and object = %s", (run_id, object))
