"""Our columns and their fields, read from the product's mapping files: seeding and the final comparison use them."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from stack.settings import ROOT

OBJECTS = ("account", "contact", "lead")
FOLDER = ROOT / "include" / "crm_sync" / "mappings" / "salesforce"


@dataclass(frozen=True)
class Field:
    """One mapped field; ``created`` where provisioning makes it in the CRM, ``owned`` where only GPTWeb edits it."""

    ours: str
    theirs: str
    type: str
    scale: int
    created: bool
    owned: bool


@dataclass(frozen=True)
class Mapping:
    """One object: our table, their type, the field with our id, the fields."""

    table: str
    theirs: str
    key: str
    fields: tuple[Field, ...]


def load() -> dict[str, Mapping]:
    """The mapping of each object, parents first."""
    return {name: _load(name) for name in OBJECTS}


def _load(name: str) -> Mapping:
    found = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    fields = tuple(
        Field(
            block["ours"], block["theirs"], block.get("type", "text"), int(block.get("scale", 0)),
            "create" in block, block.get("direction") == "out",
        )
        for block in found["fields"]
    )  # fmt: skip
    return Mapping(f"gptweb.{name}s", found["theirs"], found["key"]["theirs"], fields)
