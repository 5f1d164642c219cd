"""What Airflow does next about each error of the sync."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import RetryAction

from crm_airflow.retry import SyncRetryPolicy
from crm_sync import errors

MINUTE = timedelta(minutes=1)


def decide(error: BaseException):
    return SyncRetryPolicy().evaluate(error, try_number=1, max_tries=3)


@pytest.mark.parametrize(
    ("error", "action", "delay"),
    [
        (errors.RetryLater("busy", after=MINUTE), RetryAction.RETRY, MINUTE),
        (errors.NotSent("not sent", after=2 * MINUTE), RetryAction.RETRY, 2 * MINUTE),
        (errors.IncompleteRead("1,999 of 2,000", after=MINUTE), RetryAction.RETRY, MINUTE),
        (
            errors.RetryLater("back tomorrow", after=timedelta(days=1)),
            RetryAction.RETRY,
            timedelta(minutes=15),
        ),
        (errors.Unanswered("reply lost"), RetryAction.RETRY, timedelta(seconds=5)),
        (errors.Misconfigured("wrong key"), RetryAction.FAIL, None),
        (errors.SessionExpired("no scope"), RetryAction.FAIL, None),
        (errors.BudgetExhausted("spent", resume_after=MINUTE), RetryAction.FAIL, None),
        (errors.CallCapReached("a loop"), RetryAction.FAIL, None),
        (errors.RefusedPlan("too many deletes"), RetryAction.FAIL, None),
        (errors.WorkLeftUndone("3 changes"), RetryAction.FAIL, None),
        (errors.SyncError("unnamed"), RetryAction.FAIL, None),
    ],
)
def test_each_error_has_its_decision_and_its_own_words(error, action, delay):
    decision = decide(error)
    assert (decision.action, decision.retry_delay, decision.reason) == (action, delay, str(error))


@pytest.mark.parametrize("error", [ValueError("a bug"), MemoryError(), KeyboardInterrupt()])
def test_what_is_not_ours_is_left_to_the_tasks_own_retries(error):
    assert decide(error).action is RetryAction.DEFAULT


def test_every_error_of_the_sync_is_decided():
    for name in errors.__all__:
        kind = getattr(errors, name)
        error = kind.__new__(kind)
        Exception.__init__(error, name)
        error.after = MINUTE
        assert decide(error).action is not RetryAction.DEFAULT, name


def test_the_policy_survives_serialization():
    policy = SyncRetryPolicy()
    assert isinstance(SyncRetryPolicy.deserialize(policy.serialize()), SyncRetryPolicy)
