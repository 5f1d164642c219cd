"""From a JSON value to the value that a field keeps, or the reason why it can't (facts/salesforce.md 6 and 9)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any

from salesforce_standin import clock, ids
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.fields import Field

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_EMAIL = re.compile(rf"[^\s@<>(),;:\"\[\]]+@{_LABEL}(?:\.{_LABEL})+\Z")
_JSON_KIND = {bool: "VALUE_TRUE", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT", str: "VALUE_STRING"}
_SOAP_KIND = {"datetime": "datetime", "currency": "currency", "percent": "percent"}

Coercion = Callable[[Field, Any], Any]


class Invalid(Exception):
    """A value that a field refuses; the row's other values are still looked at."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def _invalid(code: str, field: Field, text: str) -> Invalid:
    return Invalid(Fault(code, f"{field.label}: {text}", (field.name,)))


def _unreadable(field: Field, value: Any) -> RowError:
    """Return the refusal of a value of the wrong kind: the JSON reader gives up before any rule is looked at."""
    if isinstance(value, dict | list):
        token, shown = ("START_OBJECT", "") if isinstance(value, dict) else ("START_ARRAY", "")
    else:
        token, shown = _JSON_KIND.get(type(value), "VALUE_NULL"), f" value {value}"
    kind = _SOAP_KIND.get(field.type, field.type)
    message = (
        f"Cannot deserialize instance of {kind} from {token}{shown} or request may be missing a required field"
        " at [line:1, column:2]"
    )
    return RowError(Fault("JSON_PARSER_ERROR", message, None))


def _text(field: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        if isinstance(value, dict | list):
            raise _unreadable(field, value)
        value = str(value).lower() if isinstance(value, bool) else str(value)
    trimmed: str = value.strip()
    if len(trimmed) > field.length:
        raise _invalid(
            "STRING_TOO_LONG", field, f"data value too large: {trimmed} (max length={field.length})"
        )
    return trimmed or None


def _email(field: Field, value: Any) -> str | None:
    text = _text(field, value)
    if text is not None and not _EMAIL.match(text):
        raise _invalid("INVALID_EMAIL_ADDRESS", field, f"invalid email address: {text}")
    return text


def _picklist(field: Field, value: Any) -> str | None:
    text = _text(field, value)
    if text is None:
        return None
    known: str | None = field.options.get(text.lower())
    if known is not None:
        return known
    if field.restricted:
        message = f"bad value for restricted picklist field: {text}"
        raise _invalid("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", field, message)
    return text


def _multipicklist(field: Field, value: Any) -> str | None:
    """Several values, each once, in the order in which the picklist's values were made, whatever order they came in."""
    text = _text(field, value)
    chosen = dict.fromkeys(part.strip() for part in (text or "").split(";"))
    known = [field.options.get(part.lower(), part) for part in chosen if part]
    strange = [part for part in known if part not in field.options.values()]
    if strange and field.restricted:
        message = f"bad value for restricted picklist field: {strange[0]}"
        raise _invalid("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", field, message)
    return ";".join([*(option for option in field.options.values() if option in known), *strange]) or None


def _boolean(field: Field, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in (0, 1, "0", "1"):
        return value in (1, "1")
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise _unreadable(field, value)


def _decimal(field: Field, value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _unreadable(field, value)
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise _unreadable(field, value) from None
    if not math.isfinite(number):
        raise _unreadable(field, value)
    return number


def _integer(field: Field, value: Any) -> int | None:
    number = _decimal(field, value)
    if number is None:
        return None
    digits = field.attributes["digits"] or 9
    if abs(number) >= 10**digits:
        raise _invalid(
            "NUMBER_OUTSIDE_VALID_RANGE", field, f"value outside of valid range on numeric field: {value}"
        )
    return int(number)


def _double(field: Field, value: Any) -> float | None:
    number = _decimal(field, value)
    if number is None:
        return None
    precision, scale = field.attributes["precision"] or 18, field.attributes["scale"]
    if abs(number) >= 10 ** (precision - scale):
        raise _invalid(
            "NUMBER_OUTSIDE_VALID_RANGE", field, f"value outside of valid range on numeric field: {value}"
        )
    # What the scale has no room for is dropped in silence (facts/salesforce.md 9, "Numbers").
    return float(number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_DOWN)) + 0.0


def _date(field: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        raise _unreadable(field, value)
    if not value.strip():
        return None
    found = clock.parse_date(value.strip())
    if found is None:
        raise _unreadable(field, value)
    return found


def _datetime(field: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        raise _unreadable(field, value)
    if not value.strip():
        return None
    found = clock.parse_datetime(value.strip())
    if found is None:
        raise _unreadable(field, value)
    return found


def _reference(field: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        raise _unreadable(field, value)
    if not value.strip():
        return None
    id18 = ids.normalise(value.strip())
    if id18 is None:
        raise _invalid("MALFORMED_ID", field, f"id value of incorrect type: {value}")
    return id18


COERCIONS: dict[str, Coercion] = {
    "string": _text,
    "textarea": _text,
    "phone": _text,
    "url": _text,
    "combobox": _text,
    "multipicklist": _multipicklist,
    "email": _email,
    "picklist": _picklist,
    "boolean": _boolean,
    "int": _integer,
    "double": _double,
    "currency": _double,
    "percent": _double,
    "date": _date,
    "datetime": _datetime,
    "id": _reference,
    "reference": _reference,
}


def coerce(field: Field, value: Any) -> Any:
    """Return what the field keeps for a JSON value; null clears, except where nothing can be clear."""
    if value is not None:
        return COERCIONS[field.type](field, value)
    if field.type == "boolean":
        raise _invalid("INVALID_TYPE_ON_FIELD_IN_RECORD", field, "value not of required type: null")
    return None
