"""SELECT: from the list of columns to a function that turns a row into a record of the reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from salesforce_standin.errors import ApiError
from salesforce_standin.soql.binding import Bound, Scope, address
from salesforce_standin.soql.tree import Column, FieldsOf, Path, Query, TypeOf
from salesforce_standin.tables import Row

Record = dict[str, Any]
Project = Callable[[Row], Record]


@dataclass(frozen=True, slots=True)
class Choice:
    """A parent whose fields depend on what it is."""

    name: str
    show: Callable[[Row], Record | None]


Selection = Bound | Query | Choice
# Runs a subquery for one parent row.
Children = Callable[[Query, Row], Record | None]


class Projection:
    """The columns of one query."""

    def __init__(self, scope: Scope, root: str, children: Children) -> None:
        self.scope = scope
        self.root = root
        self.children = children

    def build(self, query: Query) -> Project:
        """Return the function that makes records."""
        columns: list[Selection] = []
        seen: set[str] = set()
        for item in query.select:
            if isinstance(item, Column):
                if str(item.path).lower() in seen:
                    raise self.scope.source.malformed(item.path.at, f"duplicate field selected: {item.path}")
                seen.add(str(item.path).lower())
                columns.append(replace(self.scope.bind(item.path), alias=item.alias))
            elif isinstance(item, FieldsOf):
                columns.extend(self._all_of(item, query))
            elif isinstance(item, Query):
                columns.append(item)
            elif isinstance(item, TypeOf):
                columns.append(self._choice(item, query))
        return self._record(columns)

    def _choice(self, item: TypeOf, query: Query) -> Choice:
        at, org = item.relationship.at, self.scope.org
        hops = self.scope.bind(Path((*item.relationship.names, "Id"), at)).hops
        targets = {name.lower(): name for name in hops[0].reference_to}
        if len(hops) > 1 or len(targets) < 2:
            message = (
                f"{item.relationship} is no polymorphic relationship of {self.scope.access.sobject.name}"
            )
            raise self.scope.source.malformed(at, message)
        fields = dict.fromkeys(targets.values(), item.otherwise)
        for kind, paths in item.when:
            if kind.lower() not in targets:
                raise self.scope.source.malformed(at, f"{item.relationship} refers to no {kind}")
            fields[targets[kind.lower()]] = paths
        makers = {name: self._of(name, paths, query) for name, paths in fields.items() if paths}
        walk = self.scope.parent(hops)

        def show(row: Row) -> Record | None:
            found = walk(row)
            sobject = org.sobject_of_id(found["Id"]) if found else None
            make = makers.get(sobject.name) if sobject else None
            return make(found) if make and found else None

        return Choice(hops[0].relationship or "", show)

    def _of(self, name: str, paths: tuple[Path, ...], query: Query) -> Project:
        """Return the function that makes records of another object."""
        org, user_id = self.scope.org, self.scope.user_id
        inner = replace(query, select=tuple(Column(path) for path in paths), alias=None)
        scope = Scope(org, user_id, inner, org.access(user_id, name))
        return Projection(scope, self.root, self.children).build(inner)

    def _all_of(self, item: FieldsOf, query: Query) -> list[Bound]:
        if item.which != "standard" and (query.limit is None or query.limit > 200):
            raise self.scope.source.malformed(
                item.at, "The SOQL FIELDS function must have a LIMIT of at most 200"
            )
        readable = self.scope.access.readable.values()
        custom = {"all": (True, False), "custom": (True,), "standard": (False,)}[item.which]
        return [self.scope.bind(Path((f.name,), item.at)) for f in readable if f.custom in custom]

    def _record(self, columns: list[Selection]) -> Project:
        """Return the function for a list of columns: the plain case does next to nothing per row."""
        kind = self.scope.access.sobject.name
        prefix = f"{self.root}/sobjects/{kind}/"
        if all(isinstance(c, Bound) and _is_plain(c) for c in columns):
            plain = [(c.field.name, c.field.usual) for c in columns if isinstance(c, Bound)]

            def fast(row: Row) -> Record:
                get = row.get
                record: Record = {"attributes": {"type": kind, "url": prefix + row["Id"]}}
                for name, usual in plain:
                    record[name] = get(name, usual)
                return record

            return fast
        steps = self._steps(columns, 0)

        def full(row: Row) -> Record:
            record: Record = {"attributes": {"type": kind, "url": prefix + row["Id"]}}
            for name, step in steps:
                record[name] = step(row)
            return record

        return full

    def _steps(self, columns: list[Selection], depth: int) -> list[tuple[str, Callable[[Row], Any]]]:
        steps: list[tuple[str, Callable[[Row], Any]]] = []
        parents: dict[str, list[Selection]] = {}
        for column in columns:
            if isinstance(column, Choice):
                steps.append((column.name, column.show))
            elif isinstance(column, Query):
                steps.append((_name(column), self._subquery(column)))
            elif len(column.hops) == depth:
                steps.append((column.name, _own(column)))
            else:
                relationship = column.hops[depth].relationship or ""
                if relationship not in parents:
                    parents[relationship] = []
                    steps.append((relationship, lambda row: row))  # keeps the place
                parents[relationship].append(column)
        return [
            (name, self._parent(parents[name], depth)) if name in parents else (name, step)
            for name, step in steps
        ]

    def _parent(self, columns: list[Selection], depth: int) -> Callable[[Row], Any]:
        first = columns[0]
        hop = first.hops[depth] if isinstance(first, Bound) else None
        if hop is None:
            raise TypeError(columns)
        walk = self.scope.parent((hop,))
        steps = self._steps(columns, depth + 1)
        org, root = self.scope.org, self.root
        only = org.objects.get(hop.reference_to[0]) if len(hop.reference_to) == 1 else None

        def nested(row: Row) -> Record | None:
            found = walk(row)
            sobject = (only or org.sobject_of_id(found["Id"])) if found else None
            if found is None or sobject is None:
                return None
            url = f"{root}/sobjects/{sobject.name}/{found['Id']}"
            record: Record = {"attributes": {"type": sobject.name, "url": url}}
            for name, step in steps:
                record[name] = step(found)
            return record

        return nested

    def _subquery(self, query: Query) -> Callable[[Row], Any]:
        return lambda row: self.children(query, row)


def _is_plain(column: Bound) -> bool:
    return column.direct and not (column.field.parts or column.alias or column.change)


def _own(column: Bound) -> Callable[[Row], Any]:
    field, change = column.field, column.change
    if field.parts:
        return lambda row: address(field, row)
    name, usual = field.name, field.usual
    if change is not None:
        return lambda row: change(row.get(name, usual))
    return lambda row: row.get(name, usual)


def _name(query: Query) -> str:
    return query.entity


def not_grouped(scope: Scope, path: Path) -> ApiError:
    """Return the error of a column that is neither grouped nor aggregated."""
    return scope.source.malformed(path.at, f"Field must be grouped or aggregated: {path.names[-1]}")
