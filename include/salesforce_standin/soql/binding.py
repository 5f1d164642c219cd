"""Names in a query to what they stand for: the field, and how to get its value from a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from salesforce_standin import virtual
from salesforce_standin.errors import ApiError
from salesforce_standin.fields import Field
from salesforce_standin.permissions import Access
from salesforce_standin.soql import functions
from salesforce_standin.soql.tokens import Source
from salesforce_standin.soql.tree import Path, Query
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

Getter = Callable[[Row], Any]

_HELP = "Please reference your WSDL or the describe call for the appropriate names."


@dataclass(frozen=True, slots=True)
class Bound:
    """A field and the way to it."""

    field: Field
    get: Getter
    hops: tuple[Field, ...]
    # By what name it is shown, where that is not the field's.
    alias: str | None = None
    # What a function makes of the field's value.
    change: Callable[[Any], Any] | None = None

    @property
    def name(self) -> str:
        """The name under which a record shows the value."""
        return self.alias or self.field.name

    @property
    def direct(self) -> bool:
        """Whether the value lies in the row itself."""
        return not self.hops


class Scope:
    """One query's object, seen by one user."""

    def __init__(self, org: Org, user_id: str, query: Query, access: Access) -> None:
        self.org = org
        self.user_id = user_id
        self.source: Source = query.source
        self.access = access
        self.prefixes = {access.sobject.name.lower()} | ({query.alias.lower()} if query.alias else set())

    def bind(self, path: Path) -> Bound:
        """Find the field that a path names, or a function of it."""
        bound = self._field(path)
        word = path.function
        if not word:
            return bound
        if not functions.accepts(word, bound.field):
            message = f"field '{path.names[-1]}' does not support function {word.upper()}"
            raise self.source.error(path.at, "INVALID_FIELD", message)
        get, change = bound.get, self._change(path, bound.field)
        field = functions.result(word, bound.field)
        return Bound(field, lambda row: change(get(row)), bound.hops, change=change)

    def _change(self, path: Path, field: Field) -> Callable[[Any], Any]:
        """Return what a path's function makes of a value."""
        word = path.function
        if not functions.is_local(word, path.inner, field):
            return lambda value: functions.apply(word, field, value)
        zone = ZoneInfo(self.org.tables["User"].rows[self.user_id]["TimeZoneSidKey"])
        return lambda value: functions.apply(word, field, functions.local(value, zone))

    def _field(self, path: Path) -> Bound:
        names = path.names
        if len(names) > 1 and names[0].lower() in self.prefixes:
            names = names[1:]
        accesses = [self.access]
        hops: list[Field] = []
        for name in names[:-1]:
            hop = next(
                (a.relationships[name.lower()] for a in accesses if name.lower() in a.relationships), None
            )
            targets = [t for t in hop.reference_to if t in self.org.tables] if hop else []
            if hop is None or not targets:
                raise self._no_relationship(path, name)
            hops.append(hop)
            accesses = [self.org.access(self.user_id, target) for target in targets]
        for access in reversed(accesses):  # a polymorphic owner is nearly always the user, listed last
            field = access.find(names[-1])
            if field is not None:
                return Bound(field, self._getter(tuple(hops), field), tuple(hops))
        raise self._no_column(path, names[-1], accesses[-1].sobject.name)

    def parent(self, hops: tuple[Field, ...]) -> Callable[[Row], Row | None]:
        """Return the way from a row to the record at the end of a chain of references."""
        by_prefix = {sobject.prefix: self.org.tables[name] for name, sobject in self.org.objects.items()}
        # A reference to one object only needs no look at the id; those to an EntityDefinition are no ids.
        steps = [
            (hop.name, self.org.tables.get(hop.reference_to[0]) if len(hop.reference_to) == 1 else None)
            for hop in hops
        ]

        def walk(row: Row) -> Row | None:
            current: Row | None = row
            for key, only in steps:
                id18 = current.get(key) if current else None
                table = only or by_prefix.get(id18[:3]) if id18 else None
                current = table.rows.get(id18) if table and id18 else None
            return current

        return walk

    def _getter(self, hops: tuple[Field, ...], field: Field) -> Getter:
        name, usual = field.name, field.usual
        if field.parts:
            own: Getter = lambda row: address(field, row)  # noqa: E731
        else:
            own = lambda row: row.get(name, usual)  # noqa: E731
        if not hops:
            return own
        walk = self.parent(hops)

        def through(row: Row) -> Any:
            found = walk(row)
            return None if found is None else own(found)

        return through

    def _no_column(self, path: Path, name: str, entity: str) -> ApiError:
        message = (
            f"No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be sure to"
            f" append the '__c' after the custom field name. {_HELP}"
        )
        return self.source.error(path.at, "INVALID_FIELD", message)

    def _no_relationship(self, path: Path, name: str) -> ApiError:
        message = (
            f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom"
            f" relationship, be sure to append the '__r' after the custom relationship name. {_HELP}"
        )
        return self.source.error(path.at, "INVALID_FIELD", message)


def entity(org: Org, user_id: str, query: Query, *, tooling: bool) -> Access:
    """Return the user's view of the object that a query reads, or say that there is none."""
    name = {known.lower(): known for known in org.objects}.get(query.entity.lower())
    if name is not None and (not org.objects[name].tooling or tooling):
        access = org.access(user_id, name)
        if access.may_read:
            virtual.fill(org, user_id, name, query)
            return access
    message = (
        f"sObject type '{query.entity}' is not supported. If you are attempting to use a custom object, be sure to"
        f" append the '__c' after the entity name. {_HELP}"
    )
    raise query.source.error(query.entity_at, "INVALID_TYPE", message)


def children(scope: Scope, query: Query) -> tuple[str, Field]:
    """Return (child object, its reference to the parent) of a subquery such as ``(SELECT Id FROM Contacts)``."""
    wanted = query.entity.lower()
    for name, sobject in scope.org.objects.items():
        for field in sobject.references():
            if scope.access.sobject.name in field.reference_to:
                relationship = child_relationship(name, field)
                if relationship and relationship.lower() == wanted:
                    return name, field
    message = (
        f"Didn't understand relationship '{query.entity}' in FROM part of query call. If you are attempting to use a"
        f" custom relationship, be sure to append the '__r' after the custom relationship name. {_HELP}"
    )
    raise query.source.error(query.entity_at, "INVALID_TYPE", message)


_CHILDREN = {
    ("Account", "ParentId"): "ChildAccounts",
    ("Contact", "AccountId"): "Contacts",
    ("PermissionSetAssignment", "PermissionSetId"): "Assignments",
    ("PermissionSetAssignment", "AssigneeId"): "PermissionSetAssignments",
    ("FieldPermissions", "ParentId"): "FieldPerms",
    ("ObjectPermissions", "ParentId"): "ObjectPerms",
    ("User", "ProfileId"): "Users",
    ("User", "UserRoleId"): "Users",
}


def child_relationship(child: str, field: Field) -> str | None:
    """Return the name by which a parent knows its children, if it has one."""
    return _CHILDREN.get((child, field.name))


def address(field: Field, row: Row) -> dict[str, Any] | None:
    """Return a compound address, or None if all of its parts are empty."""
    value = {part: row.get(name) for part, name in field.parts.items()}
    return value if any(part is not None for part in value.values()) else None
