"""approve_removal: a person decides about the list of a removal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator

from crm_airflow.retry import RETRIES, SyncRetryPolicy

__all__ = ["RemovalApproveOperator", "approval_of"]

KEEP = "Keep everything"
REMOVE = "Remove "  # before the digest of the list: so the answer itself names what was approved


class RemovalApproveOperator(HITLOperator):
    """Show the list to a person, under Browse → Required Actions, and wait without a worker; no answer means no.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the RemovalPlanOperator (template field).
    """

    template_fields: Sequence[str] = (*HITLOperator.template_fields, "connection", "run_id")

    def __init__(self, *, connection: str, run_id: Any, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Remove what GPTWeb made in {connection}?",
            options=[KEEP],
            defaults=KEEP,
            **{"retries": RETRIES, "retry_policy": SyncRetryPolicy(), **kwargs},
        )
        self.connection = connection
        self.run_id = run_id

    def execute(self, context: Any) -> Any:
        """Ask, if there is anything to ask."""
        return super().execute(context) if self.prepare() else None

    def prepare(self) -> bool:
        """Write the list of the run into the question; False when nothing is to be removed."""
        from crm_airflow.hooks.sync_hook import CrmSyncHook

        with CrmSyncHook(self.connection).removal() as removal:
            request = removal.request(int(self.run_id))
        if request is None:
            return False
        self.options = [f"{REMOVE}{request.digest}", KEEP]
        self.body = request.markdown
        return True

    def validate_chosen_options(self, chosen_options: list[str]) -> None:
        """The choice is judged where it is acted upon: there the list is read again."""


def approval_of(answer: Any) -> tuple[str, str]:
    """The digest that was approved, blank if none was, and who answered."""
    if not isinstance(answer, Mapping):
        return "", "nobody"
    user = answer.get("responded_by_user")
    by = (user.get("name") or user.get("id")) if isinstance(user, Mapping) else user
    chosen = [str(option) for option in answer.get("chosen_options") or ()]
    digests = [option.removeprefix(REMOVE) for option in chosen if option.startswith(REMOVE)]
    return (digests[0] if len(digests) == 1 else ""), str(by or "nobody in time")
