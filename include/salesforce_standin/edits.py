"""Lies in a reply that is otherwise right: values of its JSON set or taken out, by path."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any


def edited(body: Any, put: Mapping[str, Any], drop: Sequence[str]) -> Any:
    """Return a JSON body with some values set and others gone; a path that leads nowhere changes nothing.

    A path is keys and places with dots between, ``*`` for each of a list: ``compositeResponse.*.body.totalSize``.
    """
    made = copy.deepcopy(body)
    for path, value in put.items():
        for holder, key in _ends(made, path.split(".")):
            holder[key] = value
    for path in drop:
        for holder, key in reversed(list(_ends(made, path.split(".")))):
            if isinstance(holder, list) or key in holder:
                del holder[key]
    return made


def _ends(body: Any, steps: list[str]) -> Sequence[tuple[Any, Any]]:
    """Return the (container, key) pairs that a path leads to."""
    if len(steps) == 1:
        return [(body, key) for key in _keys(body, steps[0], last=True)]
    return [end for key in _keys(body, steps[0], last=False) for end in _ends(body[key], steps[1:])]


def _keys(body: Any, step: str, *, last: bool) -> list[Any]:
    if isinstance(body, dict):
        return list(body) if step == "*" else [step] if last or step in body else []
    if not isinstance(body, list):
        return []
    if step == "*":
        return list(range(len(body)))
    place = int(step) if step.lstrip("-").isdigit() else len(body)
    return [place] if -len(body) <= place < len(body) else []
