"""The causes under which a reconciliation files each record, in words; and which of them are drift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

__all__ = ["CAUSES", "DRIFT", "Cause"]

Cause = Literal[
    "in_step", "drifted_theirs", "drifted_ours", "drifted_both", "formula", "missing_theirs", "missing_ours",
    "link_to_nothing", "unlinked_theirs", "unlinked_ours", "busy", "parked", "by_agreement", "left_out",
]  # fmt: skip
CAUSES: Mapping[Cause, str] = {
    "in_step": "in step",
    "drifted_theirs": "changed in the CRM",
    "drifted_ours": "changed in GPTWeb",
    "drifted_both": "changed on both sides",
    "formula": "changed in the CRM without a new stamp",
    "missing_theirs": "missing in the CRM",
    "missing_ours": "missing in GPTWeb",
    "link_to_nothing": "link to nothing",
    "unlinked_theirs": "never linked, in the CRM",
    "unlinked_ours": "never linked, in GPTWeb",
    "busy": "being written",
    "parked": "left to a person",
    "by_agreement": "different by agreement",
    "left_out": "left out by the settings",
}
"""Every cause in words, in the order of a report; docs/reconciliation.md has what each means and what helps."""
DRIFT: frozenset[Cause] = frozenset(
    ("drifted_theirs", "drifted_ours", "drifted_both", "formula", "missing_theirs", "missing_ours", "link_to_nothing",
     "unlinked_theirs", "unlinked_ours")
)  # fmt: skip
"""The causes under which the two sides do not agree although they should."""
