"""Consent: columns for the opt-outs of contacts and leads, captured like every other column.

Revision ID: 0008
"""

from alembic import op

revision = "0008"
down_revision = "0007"

TABLES = ("contact", "lead")
COLUMNS = ("opted_out_of_email", "do_not_call")


def upgrade() -> None:
    """Add the columns; nobody has opted out until somebody says so."""
    for name in TABLES:
        for column in COLUMNS:
            op.execute(f"alter table gptweb.{name}s add column {column} boolean not null default false")
        _capture(name)


def downgrade() -> None:
    """Refuse: an opt-out must not be forgotten."""
    raise RuntimeError("restore a backup instead: an opt-out must not be forgotten")


def _capture(name: str) -> None:
    """The capture function as the first revision wrote it, with the new columns where the measures' are."""
    asked = op.get_bind().exec_driver_sql(f"select pg_get_functiondef('gptweb.stamp_{name}()'::regprocedure)")
    definition = str(asked.scalar_one())
    for known, added in (
        ("  new.is_dql := coalesce(new.is_dql, false);\n", "  new.{0} := coalesce(new.{0}, false);\n"),
        (
            "  if new.is_dql is distinct from old.is_dql then moved := moved || jsonb_build_object('is_dql', at); end if;\n",
            "  if new.{0} is distinct from old.{0} then moved := moved || jsonb_build_object('{0}', at); end if;\n",
        ),
    ):
        if definition.count(known) != 1:
            raise RuntimeError(
                f"function gptweb.stamp_{name} is not the one that revision 0001 made; restore it, then migrate again"
            )
        lines = "".join(added.format(column) for column in COLUMNS)
        definition = definition.replace(known, known + lines)
    op.execute(definition)
