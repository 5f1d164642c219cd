"""The sales people of the settings as the org knows them: one call, more only where profiles have over 2,000 users."""

from __future__ import annotations

from typing import TypedDict

from crm_sync.decide.schema import Choices, Person
from crm_sync.stores.salesforce_schema_calls import Calls, Subrequest, query
from crm_sync.stores.salesforce_schema_wire import quoted

__all__ = ["LookedUp", "look_up"]

_USER = ("Id", "Username", "IsActive")
_SHORT_ID = 15  # the part of an id that both its spellings share


class LookedUp(TypedDict):
    """The part of ``FoundSales`` that the settings ask for."""

    chosen: tuple[Person, ...]
    unknown_users: tuple[str, ...]
    unknown_profiles: tuple[str, ...]


def look_up(calls: Calls, choices: Choices) -> LookedUp:
    """The chosen users and the active ones of the chosen profiles, and the names that the org does not know."""
    if not choices.sales_users and not choices.sales_profiles:
        return LookedUp(chosen=(), unknown_users=(), unknown_profiles=())
    results = calls.composite(list(_questions(choices)))
    rows = {name: calls.all_rows(result) for name, result in results.items()}
    named = [_person(row) for row in rows.get("users", ())]
    people = {person.id: person for person in (*named, *(_person(row) for row in rows.get("members", ())))}
    known = {person.username.lower() for person in named} | {person.id[:_SHORT_ID] for person in named}
    profiles = {row["Name"].lower() for row in rows.get("profiles", ())}
    return LookedUp(
        chosen=tuple(sorted(people.values(), key=lambda person: person.username)),
        unknown_users=tuple(n for n in choices.sales_users if not known & {n.lower(), n[:_SHORT_ID]}),
        unknown_profiles=tuple(name for name in choices.sales_profiles if name.lower() not in profiles),
    )


def _questions(choices: Choices) -> list[Subrequest]:
    questions = []
    if choices.sales_users:
        names = [name for name in choices.sales_users if "@" in name]
        ids = [name for name in choices.sales_users if "@" not in name]
        conditions = [f"Username IN {quoted(names)}"] * bool(names) + [f"Id IN {quoted(ids)}"] * bool(ids)
        questions.append(query("users", _USER, "User", f"WHERE {' OR '.join(conditions)}"))
    if choices.sales_profiles:
        profiles = quoted(choices.sales_profiles)
        active = f"WHERE IsActive = true AND Profile.Name IN {profiles}"
        questions.append(query("members", _USER, "User", active))
        questions.append(query("profiles", ("Name",), "Profile", f"WHERE Name IN {profiles}"))
    return questions


def _person(row: dict[str, object]) -> Person:
    return Person(str(row["Id"]), str(row["Username"]), bool(row["IsActive"]))
