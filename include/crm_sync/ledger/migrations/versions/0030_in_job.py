"""A row of a bulk job is its intent: what it needs beside stands there, and not in a table of its own (adr/0016).

Revision ID: 0030
"""

from alembic import op

revision = "0030"
down_revision = "0029"

ERASE = "crm_sync.erase_person(uuid, text, text)"
INTENTS = "  delete from crm_sync.intent i where i.link_id = any(links);\n"
ROWS = "  delete from crm_sync.job_row j using crm_sync.intent i where i.intent_id = j.intent_id and i.link_id = any(links);\n"


def upgrade() -> None:
    """Take over what is under way in a job."""
    for statement in _INTO_INTENTS:
        op.execute(statement)
    _erase(ROWS + INTENTS, INTENTS)


def downgrade() -> None:
    """The table of its own again, with what is under way."""
    for statement in _OUT_OF_INTENTS:
        op.execute(statement)
    _erase(INTENTS, ROWS + INTENTS)


def _erase(known: str, instead: str) -> None:
    """Erasure as revision 0021 wrote it, with other lines about intents."""
    asked = op.get_bind().exec_driver_sql(f"select pg_get_functiondef('{ERASE}'::regprocedure)")
    definition = str(asked.scalar_one())
    if definition.count(known) != 1:
        raise RuntimeError(
            f"function {ERASE} is not the one that revision 0021 made; restore it, then migrate again"
        )
    op.execute(definition.replace(known, instead))


_INTO_INTENTS = (
    # job_id stands there as long as nobody knows what the job made of the row.
    """
alter table crm_sync.intent add column job_id bigint, add column our_version bigint, add column seen_recv bigint,
  add column parent text, add column waits boolean""",
    """
update crm_sync.intent i set job_id = r.job_id, our_version = r.our_version, seen_recv = r.seen_recv, parent = r.parent,
  waits = r.waits from crm_sync.job_row r where r.intent_id = i.intent_id""",
    "drop table crm_sync.job_row",
    "create index intent_of_job on crm_sync.intent (job_id) where job_id is not null",
)
_OUT_OF_INTENTS = (
    """
create table crm_sync.job_row (
  intent_id uuid primary key,
  job_id bigint not null,
  our_version bigint not null,
  seen_recv bigint not null,
  parent text,
  waits boolean not null
)""",
    "create index job_row_of_job on crm_sync.job_row (job_id)",
    """
insert into crm_sync.job_row (intent_id, job_id, our_version, seen_recv, parent, waits)
select intent_id, job_id, our_version, seen_recv, parent, waits from crm_sync.intent where job_id is not null""",
    """
alter table crm_sync.intent drop column job_id, drop column our_version, drop column seen_recv, drop column parent,
  drop column waits""",
)
