"""The settings as a form: how each is entered and within which bounds, what was entered as settings again, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import Any, Final, Literal, get_args, get_origin

import orjson
from pydantic import ValidationError

from crm_airflow.web.settings_words import CHOICES, GROUPS, STALL, TITLES, Group, Setting
from crm_sync.decide.settings import Settings

__all__ = ["NAMES", "STALLED", "Entry", "Kind", "entered", "entries", "in_words", "mistakes", "names_of"]

Kind = Literal["choice", "box", "number", "share", "text", "lines"]
SHARES: Final = frozenset({"org_reserve", "approve_share_above"})
"""Fractions, which people enter as per cent."""
STALLED: Final = (STALL.name,)


def names_of(groups: Iterable[Group]) -> tuple[str, ...]:
    """The settings of some groups."""
    return tuple(setting.name for group in groups for setting in group.settings)


NAMES: Final = names_of(GROUPS)
"""Everything on the page Settings itself."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting with what the form shows in it; ``least``, ``most``: its bounds; ``usual``: its default, in words."""

    setting: Setting
    kind: Kind
    value: Any
    choices: Mapping[str, str]
    least: str
    most: str
    usual: str
    problem: str

    @property
    def notes(self) -> list[str]:
        """What stands below the field."""
        usual = f"Usually {self.usual}{' ' + self.setting.unit if self.setting.unit else ''}."
        shown = (self.setting.help, self.setting.blank, usual if self.usual else "")
        return [note for note in shown if note]


def entries(
    shown: Mapping[str, Any], settings: Iterable[Setting], problems: Mapping[str, str] | None = None
) -> list[Entry]:
    """The form's fields; ``shown``: the settings as JSON, or what was entered where it could not be stored."""
    return [
        _entry(setting, shown[setting.name], (problems or {}).get(setting.name, "")) for setting in settings
    ]


def entered(form: Mapping[str, str], names: Iterable[str] = NAMES) -> dict[str, Any]:
    """What a sent form holds, as settings; texts where the model turns them into what it wants.

    A box that nobody ticked is absent from a form, so it is off.
    """
    return {name: _value(name, form.get(name, "").strip()) for name in names}


def mistakes(settings: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with settings, by name, each with what to enter instead."""
    try:
        Settings.model_validate(settings)
    except ValidationError as error:
        return {str(each["loc"][0]): _remedy(str(each["loc"][0]), each) for each in reversed(error.errors())}
    return {}


def in_words(name: str, value: Any) -> str:
    """A value of a setting as people read it; lists and objects come as the trail keeps them, as JSON."""
    if name not in Settings.model_fields or value is None:
        return "–" if value is None else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in SUMMARIES and isinstance(value, str):
        return SUMMARIES[name](orjson.loads(value)) or "–"
    kind = kind_of(name)
    if kind == "choice":
        return CHOICES[name].get(str(value), str(value))
    if kind == "share":
        return f"{_percent(value)} %"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _told(targets: list[dict[str, Any]]) -> str:
    return "; ".join(", ".join(one.get("to", ())) or f"webhook {one['conn_id']}" for one in targets)


def _scoped(scope: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    found = [
        f"{object}, {'GPTWeb' if side == 'ours' else 'CRM'}: "
        + " and ".join(
            " ".join(str(one[part]) for part in ("field", "op", "value") if one[part] is not None)
            for one in conditions
        )
        for object, sides in scope.items()
        for side, conditions in sides.items()
        if conditions
    ]
    return "; ".join(found)


def _mapped(mapping: dict[str, dict[str, list[Any]]]) -> str:
    found = []
    for object, changes in mapping.items():
        fields = [f"{field['ours']} is {field['theirs']}" for field in changes["fields"]]
        fields += [f"{column} taken out" for column in changes["without"]]
        found += [f"{object}: {', '.join(fields)}"] if fields else []
    return "; ".join(found)


SUMMARIES: Final[Mapping[str, Callable[[Any], str]]] = {
    "alerts": _told, "scope": _scoped, "mapping": _mapped, "sales_users": ", ".join, "sales_profiles": ", ".join,
}  # fmt: skip
"""Lists and objects in a line; the trail keeps them as JSON."""


def kind_of(name: str) -> Kind:
    """How a setting is entered, by its type."""
    if name in CHOICES:
        return "choice"
    if name in SHARES:
        return "share"
    annotation = Settings.model_fields[name].annotation
    if annotation is bool:
        return "box"
    if int in {annotation, *get_args(annotation)}:
        return "number"
    return "lines" if get_origin(annotation) is tuple and name != "alerts" else "text"


def _entry(setting: Setting, value: Any, problem: str) -> Entry:
    kind = kind_of(setting.name)
    shown = value
    if kind == "lines" and not isinstance(value, str):
        shown = "\n".join(value)
    elif kind == "share" and not isinstance(value, str) and value is not None:
        shown = _percent(value)
    least, most = _bounds(setting.name)
    default = Settings.model_fields[setting.name].default
    usual = in_words(setting.name, default).removesuffix(" %") if kind in ("number", "share") else ""
    return Entry(
        setting,
        kind,
        "" if shown is None else shown,
        CHOICES.get(setting.name, {}),
        least,
        most,
        usual,
        problem,
    )


def _value(name: str, text: str) -> Any:
    kind = kind_of(name)
    if kind == "box":
        return bool(text)
    if kind == "lines":
        return [line.strip() for line in text.splitlines() if line.strip()]
    if kind == "share" and text:
        try:
            return float(Decimal(text.replace(",", ".")) / 100)
        except DecimalException:
            return text
    return text or None


def _percent(share: float) -> str:
    return format((Decimal(str(share)) * 100).normalize(), "f")


def _bounds(name: str) -> tuple[str, str]:
    """The least and the most that may be entered; blank: there is none."""
    least = most = ""
    for limit in Settings.model_fields[name].metadata:
        least = str(getattr(limit, "ge", least))
        most = str(getattr(limit, "le", getattr(limit, "lt", most)))
    if name in SHARES:
        # A reserve of all would leave nothing.
        return least and _percent(float(least)), "99" if name == "org_reserve" else _percent(float(most))
    return least, most


def _remedy(name: str, error: Mapping[str, Any]) -> str:
    kind = kind_of(name)
    least, most = _bounds(name)
    what = {"number": "a whole number", "share": "a number", "choice": "one of the choices"}.get(kind)
    if what is None:
        told = str(error["msg"]).removeprefix("Value error, ")
        return (
            f"{TITLES[name]}: {error['input']} {told}"
            if error["type"] == "value_error"
            else f"{TITLES[name]}: {told}"
        )
    range = f" from {least} to {most}" if least and most else f", at least {least}" if least else ""
    return f"{TITLES[name]}: enter {what}{range}."
