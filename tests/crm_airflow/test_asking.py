"""A plan that waits for a person: asked and answered through Airflow's own human-in-the-loop interface."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from crm_airflow.asking import Answer, answer_of
from crm_airflow.operators.plan_operator import PlanOperator
from crm_airflow.operators.settle_operator import SettleOperator
from crm_sync.errors import PlanRejected
from tests.crm_airflow.airflow_env import airflow_database
from tests.crm_airflow.fake import FakeEngine, FakeReport, faked
from tests.crm_airflow.real import airflow_connection, make_connection, rows, run, running_hub, running_org
from tests.crm_airflow.test_operators import context
from tests.crm_airflow.ui import BUTTON, airflow_app, browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's runner imports warns
NAME = "asking"
PAGE, API = f"/crm-sync/connections/{NAME}", f"/crm-sync/api/v1/connections/{NAME}"
WHEN = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
ANN = {"id": "1", "name": "Ann"}
YES = "Approve plan 00ff00ff00ff00ff"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"chosen_options": [YES], "responded_by_user": ANN}, ("00ff00ff00ff00ff", "Ann")),
        ({"chosen_options": [YES], "responded_by_user": {"id": "1", "name": ""}}, ("00ff00ff00ff00ff", "1")),
        ({"chosen_options": ["Reject"], "responded_by_user": ANN}, ("", "Ann")),
        ({"chosen_options": [YES, "Reject"], "responded_by_user": ANN}, ("", "Ann")),
        ({"chosen_options": ["Reject"], "responded_by_user": None, "timedout": True}, ("", None)),
        ({"error": "the timeout has passed", "error_type": "timeout"}, ("", None)),
    ],
)
def test_only_one_clear_yes_is_a_yes(event, expected):
    approved, by = expected
    assert answer_of({**event, "responded_at": WHEN}) == Answer(approved, by, WHEN)


def test_a_plan_that_was_rejected_before_is_skipped_and_not_red():
    engine = FakeEngine(plan=PlanRejected("plan 00ff was rejected by Ann, and there is nothing else to do"))
    with pytest.raises(AirflowSkipException, match="rejected by Ann"):
        faked(PlanOperator, engine)(task_id="plan", connection="main", run_id=7).execute({})


def test_a_run_that_was_not_approved_is_green_unless_a_task_failed():
    engine = FakeEngine(settle=FakeReport("settled", {}, "refused", "rejected by Ann"))
    settle = faked(SettleOperator, engine)(task_id="settle", connection="main", run_id=7)
    assert settle.execute(context(states={"plan": "skipped"})) == {"run_id": 7, "state": "refused"}
    with pytest.raises(AirflowFailException):
        settle.execute(context(states={"plan": "failed"}))


# ------------------------------------------------------------------------------------------ the real stack


class Person:
    """Waits for the question as a client of Airflow's API does, and answers it with the option that begins so."""

    def __init__(
        self, user: str, option: str, dag: str = f"crm_sync__{NAME}", *, on_our_page: bool = False
    ) -> None:
        self.user, self.option, self.dag, self.on_our_page = user, option, dag, on_our_page
        self.pages: list[str] = []
        self.question: dict[str, Any] = {}
        self.replies: list[int] = []
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> Person:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _answer(self) -> None:
        with browser(airflow_app(), self.user) as client, browser(airflow_app(), "viewer") as viewer:
            asked = "/api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false&state=awaiting_input"
            deadline = time.monotonic() + 120
            while not self.question and time.monotonic() < deadline:
                time.sleep(0.2)
                found = client.get(asked).json().get("hitl_details", [])
                self.question = next((q for q in found if q["task_instance"]["dag_id"] == self.dag), {})
            if self.on_our_page:
                self._press([viewer, client])
                return
            at = self.question["task_instance"]
            where = f"/api/v2/dags/{at['dag_id']}/dagRuns/{at['dag_run_id']}/taskInstances/{at['task_id']}/-1/hitlDetails"
            chosen = next(option for option in self.question["options"] if option.startswith(self.option))
            for who in (viewer, client):
                self.replies.append(who.patch(where, json={"chosen_options": [chosen]}).status_code)

    def _press(self, people: list[Any]) -> None:
        """Each of them looks at the run's page, and presses the button, seen or not; then the program asks once more."""
        [newest] = people[0].get(f"{API}/runs?limit=1").json()["runs"]
        run = f"runs/{newest['run_id']}"
        digest = people[0].get(f"{API}/{run}/question").json()["digest"]
        for who in people:
            self.pages.append(who.get(f"{PAGE}/{run}").text)
            for form in ({"digest": "0" * 16, "take": "approve"}, {"digest": digest, "take": self.option}):
                self.replies.append(who.post(f"{PAGE}/{run}/answer", data=form, headers=BUTTON).status_code)
        again = people[-1].post(
            f"{API}/{run}/answer", json={"digest": digest, "approve": True}, headers=BUTTON
        )
        self.replies.append(again.status_code)


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """An org and a database of this module's own, provisioned; whatever a first sync makes is asked about."""
    airflow_database()
    folder = tmp_path_factory.mktemp("asking")
    with (
        running_org(folder / "log") as org,
        running_hub(folder / "postgres") as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("CRM_SYNC_DATABASE_URL", url)
        patch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # as the API server has it
        make_connection(url, NAME, {"approve_creations_above": 2})
        airflow_connection(patch, NAME, org.extra())
        assert run("provision", NAME)[0] == "success"
        rows(
            url,
            "insert into gptweb.contacts (last_name, email) select 'Doe', n || '@acme.example' from generate_series(1, 3) n",
        )
        yield url, org


SUMMARY = "select state, message, planned, superseded from crm_sync.run_summary where connection = %s order by run_id desc limit 1"


def test_a_plan_is_rejected_through_airflows_api_and_then_approved_on_our_page(asking):
    url, org = asking
    with Person("admin", "Reject") as person:
        state, tasks = run("sync", NAME)
    assert person.replies == [403, 200], "who may only look may not answer"
    body = person.question["body"]
    assert "the first sync would make 3 records (3 in the CRM, 0 in GPTWeb), more than 2" in body
    assert "| contact | 3 |" in body
    assert person.question["defaults"] == ["Reject"]
    skipped = {"plan": "skipped", "push_ours": "skipped", "push_theirs": "skipped"}
    assert (state, tasks) == (
        "success",
        {"open_run": "success", "pull": "success", "settle": "success", **skipped},
    )
    [(ended, message, planned, superseded)] = rows(url, SUMMARY, NAME)
    assert (ended, planned) == ("refused", superseded)
    assert message.endswith("was rejected by admin")
    assert org.query("SELECT Id FROM Contact") == []

    with Person("admin", "approve", on_our_page=True) as person:
        state, tasks = run("sync", NAME)
    assert person.replies == [403, 403, 409, 303, 409], (
        "who may only look, another plan, the plan, a second time"
    )
    seen, acted = person.pages
    for page in person.pages:
        assert "the first sync would make 3 records (3 in the CRM, 0 in GPTWeb), more than 2" in page
        assert "for about 2 API calls" in page
    assert ("Approve this plan" in seen, "Approve this plan" in acted) == (False, True)
    assert (state, set(tasks.values())) == ("success", {"success"}), rows(url, SUMMARY, NAME)
    assert len(org.query("SELECT Id FROM Contact")) == 3
    digest = person.question["options"][0].removeprefix("Approve plan ")
    told = rows(
        url,
        "select rule, detail from crm_sync.audit_trail where rule like 'plan\\_%%' and %s <> '' order by at",
        NAME,
    )
    assert [rule for rule, _ in told] == ["plan_rejected", "plan_approved"]
    assert told[1][1].startswith(f"plan {digest} of run ")
    assert told[1][1].endswith(" was approved by admin")
