"""The settings as a form: how each is entered, from what it may hold, and what was entered as settings again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

import orjson

from crm_airflow.web.settings_words import CHOICES, GROUPS, Setting
from crm_sync.errors import Misconfigured
from crm_sync.ledger.settings import Settings

__all__ = ["Entry", "Kind", "entered", "entries"]

Kind = Literal["choice", "box", "number", "text", "lines", "json"]
NAMES: Final = frozenset(setting.name for _, group in GROUPS for setting in group)


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting with what the form shows in it."""

    setting: Setting
    kind: Kind
    value: Any
    choices: Mapping[str, str]


def entries(shown: Mapping[str, Any]) -> list[tuple[str, list[Entry]]]:
    """The form's groups; ``shown``: the settings as JSON, or what was entered where it could not be stored."""
    return [(title, [_entry(setting, shown[setting.name]) for setting in group]) for title, group in GROUPS]


def entered(form: Mapping[str, str]) -> dict[str, Any]:
    """What a sent form holds, as settings; texts where the model turns them into what it wants.

    Misconfigured names the field that is no JSON.  A box that nobody ticked is absent from a form, so it is off.
    """
    return {name: _value(name, form.get(name, "").strip()) for name in NAMES}


def kind_of(name: str) -> Kind:
    """How a setting is entered, by its type."""
    annotation = Settings.model_fields[name].annotation
    kinds = {get_origin(each) or each for each in (get_args(annotation) or (annotation,))}
    if name in CHOICES:
        return "choice"
    if annotation is bool:
        return "box"
    if kinds & {int, float}:
        return "number"
    if get_origin(annotation) is tuple:
        return "json" if name == "alerts" else "lines"
    return "json" if get_origin(annotation) is dict else "text"


def _entry(setting: Setting, value: Any) -> Entry:
    kind = kind_of(setting.name)
    shown = value
    if kind == "lines" and not isinstance(value, str):
        shown = "\n".join(value)
    elif kind == "json" and not isinstance(value, str):
        shown = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() if value else ""
    return Entry(setting, kind, "" if shown is None else shown, CHOICES.get(setting.name, {}))


def _value(name: str, text: str) -> Any:
    kind = kind_of(name)
    if kind == "box":
        return bool(text)
    if kind == "lines":
        return [line.strip() for line in text.splitlines() if line.strip()]
    if kind == "json":
        try:
            return (
                orjson.loads(text)
                if text
                else type(Settings.model_fields[name].get_default(call_default_factory=True))()
            )
        except orjson.JSONDecodeError as error:
            raise Misconfigured(f"{name}: this is no JSON: {error}") from None
    return text or None
