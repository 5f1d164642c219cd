"""How a query would be run: the plans of ``query?explain=``, best first (REST:query-performance-feedback-beta).

The figures are estimates as the platform's are; nothing depends on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin.soql.binding import Scope, entity
from salesforce_standin.soql.evaluate import Reader
from salesforce_standin.soql.tree import Comparison, Path, Query, conjuncts

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_INDEXED = frozenset({"CreatedDate", "SystemModstamp", "LastModifiedDate", "Name"})
# An index serves a filter that meets less than this part of the rows.
_SELECTIVE = 0.3
_SCAN_COST = 0.65


def explain(org: Org, user_id: str, tree: Query, *, tooling: bool) -> dict[str, Any]:
    """Return the plans for a query, which must be one that could be run."""
    access = entity(org, user_id, tree, tooling=tooling)
    found = Reader(org, user_id, "", False, tooling).run(tree).total
    name = access.sobject.name
    all_rows = sum(1 for _ in access.table.live())
    plans = []
    if fields := _indexed_fields(Scope(org, user_id, tree, access), tree):
        cost = round(found / (_SELECTIVE * all_rows), 3) if all_rows else 0.0
        plans.append(_plan(name, found, all_rows, "Index", fields, cost))
    plans.append(_plan(name, found, all_rows, "TableScan", [], _SCAN_COST))
    return {"plans": sorted(plans, key=lambda plan: float(plan["relativeCost"]))}


def _indexed_fields(scope: Scope, tree: Query) -> list[str]:
    """Return the fields of conditions that every row must meet and that an index answers."""
    names = []
    for part in conjuncts(tree.where):
        path = part.left if isinstance(part, Comparison) else part.path
        if isinstance(path, Path) and not path.function:
            bound = scope.bind(path)
            field = bound.field
            if bound.direct and (
                field.indexed or field.type in {"id", "reference"} or field.name in _INDEXED
            ):
                names.append(field.name)
    return names


def _plan(name: str, found: int, all_rows: int, kind: str, fields: list[str], cost: float) -> dict[str, Any]:
    note = {
        "description": "Not considering filter for optimization because unindexed",
        "fields": ["IsDeleted"],
        "tableEnumOrId": name,
    }
    return {
        "cardinality": found,
        "fields": fields,
        "leadingOperationType": kind,
        "notes": [note],
        "relativeCost": cost,
        "sobjectCardinality": all_rows,
        "sobjectType": name,
    }
