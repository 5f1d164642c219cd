"""What Salesforce's refusals of a step mean, and whom they send where."""

from __future__ import annotations

import pytest

from crm_sync.decide.schema_steps import Step
from crm_sync.errors import Misconfigured, RetryLater, SyncError
from crm_sync.stores.salesforce_schema_wire import already_there, errors_of, refusal

FORBIDDEN = [("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")]
HALTED = ("PROCESSING_HALTED", "The transaction was rolled back since another operation failed.")
TAKEN = ("DUPLICATE_DEVELOPER_NAME", "There is already a field named GPTWeb_Id on Lead.")


@pytest.mark.parametrize(
    ("step", "permission"),
    [
        (Step("create_permission_set"), "'Manage Profiles and Permission Sets'"),
        (Step("assign"), "'Assign Permission Sets'"),
        (
            Step("create_field", "lead", "Lead", "GPTWeb_Id__c"),
            "'Customize Application' and 'Modify All Data'",
        ),
        (None, "'View Setup and Configuration'"),
    ],
)
def test_a_missing_permission_is_named_with_the_place_to_grant_it(step: Step | None, permission: str) -> None:
    error = refusal(FORBIDDEN, step)
    assert isinstance(error, Misconfigured)
    assert f"Grant {permission} to the integration user (Setup → Profiles" in str(error)
    assert "insufficient access rights on object id [INSUFFICIENT_ACCESS_OR_READONLY]" in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [("UNABLE_TO_LOCK_ROW", RetryLater), ("LIMIT_EXCEEDED", Misconfigured), ("NEW", Misconfigured)],
)
def test_what_may_pass_is_tried_again_and_nothing_else(code: str, kind: type[SyncError]) -> None:
    assert isinstance(refusal([(code, "said")], Step("assign")), kind)


def test_only_duplicates_mean_that_it_is_there() -> None:
    assert already_there([TAKEN, HALTED])
    assert not already_there([TAKEN, *FORBIDDEN])
    assert not already_there([HALTED])
    assert not already_there([])


@pytest.mark.parametrize(
    "answer",
    [
        [{"errorCode": TAKEN[0], "message": TAKEN[1], "fields": ["DeveloperName"]}],
        {"success": False, "errors": [{"statusCode": TAKEN[0], "message": TAKEN[1], "fields": []}]},
        [{"success": False, "errors": [{"statusCode": TAKEN[0], "message": TAKEN[1]}]}],
    ],
    ids=["whole call", "row", "rows"],
)
def test_errors_are_read_in_every_spelling(answer: object) -> None:
    assert errors_of(answer) == [TAKEN]
    assert errors_of({"id": "00N", "success": True, "errors": []}) == []
