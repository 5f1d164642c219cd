"""``@{refAccount.id}`` and its like: values of earlier subrequests inside later ones."""

from __future__ import annotations

import re
from typing import Any

_REFERENCE = re.compile(r"@\{([A-Za-z0-9_]+)((?:\.[A-Za-z0-9_]+|\[\d+\])*)\}")
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[(\d+)\]")


class Unresolved(Exception):
    """A reference to a value that is not there."""


def named(thing: Any) -> set[str]:
    """Return the reference ids that a subrequest mentions anywhere."""
    if isinstance(thing, str):
        return {match[1] for match in _REFERENCE.finditer(thing)}
    if isinstance(thing, dict):
        return {name for key, value in thing.items() for name in named(key) | named(value)}
    if isinstance(thing, list):
        return {name for value in thing for name in named(value)}
    return set()


def resolve(thing: Any, results: dict[str, Any]) -> Any:
    """Return the thing with every reference replaced by the value that it names."""
    if isinstance(thing, str):
        whole = _REFERENCE.fullmatch(thing)
        if whole:
            return _value(whole, results)
        return _REFERENCE.sub(lambda match: str(_value(match, results)), thing)
    if isinstance(thing, dict):
        return {key: resolve(value, results) for key, value in thing.items()}
    if isinstance(thing, list):
        return [resolve(value, results) for value in thing]
    return thing


def _value(match: re.Match[str], results: dict[str, Any]) -> Any:
    value: Any = results.get(match[1])
    for name, index in _STEP.findall(match[2]):
        try:
            value = value[name] if name else value[int(index)]
        except (KeyError, IndexError, TypeError):
            value = None
        if value is None:
            raise Unresolved(
                f"Invalid reference specified. No value for {match[1]}{match[2]} found in {match[1]}"
            )
    return value
