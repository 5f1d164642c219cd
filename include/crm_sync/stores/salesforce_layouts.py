"""Page layouts as XML trees: which fields stand on one, our section put in or taken out, and nothing else touched.

An update replaces the whole layout and the API knows no versions (facts/salesforce.md 7.3): so a layout is read again
right before it is written, and once more behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from lxml import etree

from crm_sync.decide.schema import SECTION, FoundLayout
from crm_sync.decide.schema_steps import Done, Step
from crm_sync.errors import Misconfigured, RetryLater
from crm_sync.model import Object
from crm_sync.stores.salesforce_metadata import MOST, SPACE, MetadataApi, Result, text_of

__all__ = ["Layouts", "fields_on", "with_fields", "without_fields"]

_TYPE = "Layout"
_ITEMS = f"{SPACE}layoutColumns/{SPACE}layoutItems"
# What comes before and among the sections in the schema's sequence; everything else comes behind.
_UP_TO_SECTIONS = {
    f"{SPACE}{name}"
    for name in (
        "fullName",
        "customButtons",
        "customConsoleComponents",
        "emailDefault",
        "excludeButtons",
        "feedLayout",
        "headers",
        "layoutSections",
    )
}
# Said of a field that was made a moment ago and is not known everywhere yet (facts/salesforce.md 7.1).
_NOT_YET = {"INVALID_CROSS_REFERENCE_KEY", "FIELD_INTEGRITY_EXCEPTION"}


class Layouts:
    """The page layouts of one org."""

    def __init__(self, api: MetadataApi) -> None:
        self._api = api

    def look(self, objects: Mapping[str, Object]) -> tuple[FoundLayout, ...]:
        """The layouts of the types, with the fields on each: one call, and one more per ten layouts."""
        names = [name for name in self._api.names(_TYPE) if name.partition("-")[0] in objects]
        trees = self._api.read(_TYPE, names)
        return tuple(
            FoundLayout(objects[type_], type_, name, fields_on(tree))
            for name, tree in sorted(trees.items())
            for type_ in (name.partition("-")[0],)
        )

    def place(self, steps: Sequence[Step]) -> Iterator[Sequence[Done]]:
        """Put the missing fields on their layouts, ten layouts in three calls, yielding what was done."""
        refused: list[str] = []
        for start in range(0, len(steps), MOST):
            group = {step.target: step for step in steps[start : start + MOST]}
            changed, results = self._change({name: step.fields for name, step in group.items()}, with_fields)
            yield [
                Done(step, existed=name not in changed)
                for name, step in group.items()
                if name not in changed or not results[name].errors
            ]
            refused += [_refusal(group[name], results[name]) for name in changed if results[name].errors]
        if refused:
            raise Misconfigured("\n".join(refused))

    def in_section(self, full_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The fields in our section of these layouts; one that is gone is not among them."""
        found = {}
        for name, tree in self._api.read(_TYPE, full_names).items():
            section = _section(tree)
            items = () if section is None else section.findall(_ITEMS)
            found[name] = tuple(text_of(item, "field") for item in items)
        return found

    def take_off(self, fields: Mapping[str, Sequence[str]]) -> dict[str, Result]:
        """Take fields out of our section of at most ten layouts; the section goes with its last item."""
        return self._change(fields, without_fields)[1]

    def _change(
        self, fields: Mapping[str, Sequence[str]], change: Callable[[Any, Sequence[str]], Any]
    ) -> tuple[set[str], dict[str, Result]]:
        """Read, change, write back and look: the layouts that needed it, and what became of them."""
        before = self._api.read(_TYPE, list(fields))
        after = {name: change(tree, fields[name]) for name, tree in before.items()}
        changed = {name for name, tree in after.items() if _spelled(tree) != _spelled(before[name])}
        if not changed:
            return set(), {}
        results = {
            each.full_name: each for each in self._api.update([after[name] for name in sorted(changed)])
        }
        saved = [name for name in sorted(changed) if not results[name].errors]
        now = self._api.read(_TYPE, saved)
        lost = [name for name in saved if name not in now or fields_on(now[name]) != fields_on(after[name])]
        if lost:
            raise RetryLater(
                f"somebody else changed {', '.join(lost)} at the same time; the stage may be repeated"
            )
        return changed, results


def fields_on(layout: Any) -> frozenset[str]:
    """The fields anywhere in the sections of a layout, in lower case."""
    path = "/".join(f"{SPACE}{name}" for name in ("layoutSections", "layoutColumns", "layoutItems", "field"))
    return frozenset(str(field.text).lower() for field in layout.findall(path))


def with_fields(layout: Any, names: Sequence[str]) -> Any:
    """The layout with the fields that are nowhere on it in our section, which is made if it is not there."""
    there = fields_on(layout)
    missing = [name for name in names if name.lower() not in there]
    changed = deepcopy(layout)
    if missing:
        section = _section(changed)
        if section is None:
            section = _new_section()
            changed.insert(_place(changed), section)
        columns = section.findall(f"{SPACE}layoutColumns")
        for name in missing:
            min(columns, key=len).append(_item(name))
    return changed


def without_fields(layout: Any, names: Sequence[str]) -> Any:
    """The layout without these fields in our section; elsewhere an administrator has put them."""
    unwanted = {name.lower() for name in names}
    changed = deepcopy(layout)
    section = _section(changed)
    if section is None:
        return changed
    items = section.findall(_ITEMS)
    ours = [item for item in items if text_of(item, "field").lower() in unwanted]
    for item in ours:
        item.getparent().remove(item)
    if ours and len(ours) == len(items):
        changed.remove(section)
    return changed


def _section(layout: Any) -> Any:
    sections = layout.findall(f"{SPACE}layoutSections")
    found = (each for each in sections if text_of(each, "label") == SECTION)
    return next((each for each in found if each.find(f"{SPACE}layoutColumns") is not None), None)


def _place(layout: Any) -> int:
    """Behind the last section, but before the links, which end a page."""
    place = 0
    for number, child in enumerate(layout):
        if child.tag in _UP_TO_SECTIONS and text_of(child, "style") != "CustomLinks":
            place = number + 1
    return place


def _new_section() -> Any:
    section = etree.Element(f"{SPACE}layoutSections")
    for name in ("customLabel", "detailHeading", "editHeading"):
        _child(section, name, "true")
    _child(section, "label", SECTION)
    for _ in range(2):
        _child(section, "layoutColumns")
    _child(section, "style", "TwoColumnsTopToBottom")
    return section


def _item(name: str) -> Any:
    # Read only: the sync would put back whatever a person typed into a field of GPTWeb's.
    item = etree.Element(f"{SPACE}layoutItems")
    _child(item, "behavior", "Readonly")
    _child(item, "field", name)
    return item


def _child(parent: Any, name: str, text: str | None = None) -> None:
    etree.SubElement(parent, f"{SPACE}{name}").text = text


def _spelled(layout: Any) -> bytes:
    return bytes(etree.tostring(layout, method="c14n"))


def _refusal(step: Step, result: Result) -> str:
    said = "; ".join(f"{message} [{code}]" for code, message in result.errors)
    if {code for code, _ in result.errors} <= _NOT_YET and any(name in said for name in step.fields):
        raise RetryLater(
            f"Salesforce does not know its new fields on layouts yet: {said}; the stage may be repeated"
        )
    return (
        f"Salesforce refused to {step.words}: {said}. Correct the layout in Setup → Object Manager → {step.type} → "
        "Page Layouts, then run provisioning again; or leave page layouts alone with the setting layouts: false"
    )
