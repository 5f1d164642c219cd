"""The canonical form of our records in SQL, where a statement reads thousands of them and none passes through Python.

It says the same as ``decide.values.canonical`` and ``ledger.linking.wanted_values``, or says nothing: what could come out
otherwise (a number with more digits than a float holds, a column of another type) is not *plain*, and goes through Python.
"""

from __future__ import annotations

from psycopg import sql

from crm_sync.decide.mapping import FieldMapping, ObjectMapping
from crm_sync.ledger.database import Transaction

__all__ = ["has_plain_columns", "plain", "texts", "values_to_create"]

TYPES = {
    "text": {"text", "character varying"},
    "boolean": {"boolean"},
    "number": {"smallint", "integer", "bigint", "numeric"},
    "datetime": {"timestamp with time zone"},
    "reference": {"uuid"},
    "choices": {"text", "character varying"},
}
FLOAT_DIGITS = 15
"""So many digits a float holds exactly, wherever the point is."""


def has_plain_columns(tx: Transaction, mapping: ObjectMapping) -> bool:
    """Whether every mapped column has a type that SQL spells as Python does."""
    rows = tx.rows(
        "select attname, format_type(atttypid, null) from pg_attribute where attrelid = %s::regclass and attnum > 0",
        (f"gptweb.{mapping.table}",),
    )
    types: dict[str, str] = dict(rows)
    return all(
        types.get(mapped.ours, "") in TYPES[mapped.type] and mapped.scale < FLOAT_DIGITS
        for mapped in mapping.fields
    )


def values_to_create(mapping: ObjectMapping) -> sql.Composed:
    """The jsonb that a new record of theirs is made of, from our record ``o``: all that is not blank and goes out."""
    return sql.SQL("json_object({} absent on null returning jsonb)").format(
        sql.SQL(", ").join(
            sql.SQL("({}::text) value {}").format(sql.Literal(mapped.ours), _canonical(mapped))
            for mapped in mapping.fields
            if mapped.direction != "in"
        )
    )


def plain(mapping: ObjectMapping) -> sql.Composed:
    """Whether SQL and Python spell all values of our record ``o`` alike."""
    limits: list[sql.Composable] = [sql.SQL("true")]
    for mapped in mapping.fields:
        column = sql.Identifier("o", mapped.ours)
        if mapped.type == "number":
            most = sql.Literal(10 ** (FLOAT_DIGITS - mapped.scale))
            limits.append(sql.SQL("({0} is null or abs({0}::numeric) < {1})").format(column, most))
        elif mapped.type == "datetime":
            limits.append(
                sql.SQL("({0} is null or {0} >= '0001-01-02' and {0} < '9999-12-31')").format(column)
            )
    return sql.SQL(" and ").join(limits)


def texts(mapping: ObjectMapping) -> sql.Composed:
    """All texts of our record ``o`` as one, to look for what none of them may contain."""
    columns = [
        sql.Identifier("o", mapped.ours) for mapped in mapping.fields if mapped.type in ("text", "choices")
    ]
    return sql.SQL("concat_ws(' ', {})").format(sql.SQL(", ").join([sql.Literal(""), *columns]))


def _canonical(mapped: FieldMapping) -> sql.Composed:
    column = sql.Identifier("o", mapped.ours)
    match mapped.type:
        case "boolean":
            form = "coalesce({0}, false)"
        case "number" if mapped.scale == 0:
            form = "trunc({0}::numeric)"
        case "number":
            # A float has a digit after the point, and none that says nothing.
            form = "round(trunc({0}::numeric, {1}), greatest(1, min_scale(trunc({0}::numeric, {1}))))"
        case "datetime":
            form = """to_char({0} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
        case "reference":
            form = "{0}::text"
        case "choices":
            form = """(select string_agg(c, ';' order by c collate "C") from (
              select distinct btrim(c, ' ') as c from unnest(string_to_array({0}, ';')) c) w where c <> '')"""
        case _:
            form = "{0}"
    return sql.SQL(form).format(column, sql.Literal(mapped.scale))
