"""The JSON API, fuzzed from its own OpenAPI: nothing that anybody sends makes it break its word, or lets it in without a user."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.crm_airflow.real import NAME
from tests.crm_airflow.ui import browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's application imports warns
EXAMPLES = 20
LOOSE = {
    "POST /api/v1/connections": [positive_data_acceptance],
    "PUT /api/v1/connections/{connection_id}/mapping/{object}/{column}": [positive_data_acceptance],
}
"""What a way in needs depends on the grant, what a field needs on its type: their schemas do not say it."""


@pytest.fixture
def bearer(app) -> dict[str, str]:
    """A program's way in."""
    with browser(app, "admin") as client:
        return {"Authorization": f"Bearer {client.cookies['_token']}"}


@pytest.fixture
def described(app, hub, bearer):
    """The API as it describes itself."""
    return schemathesis.openapi.from_asgi("/crm-sync/api/v1/openapi.json", app, headers=bearer)


def test_every_answer_is_as_described(described, bearer):
    fuzzed = settings(
        deadline=None,
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    problems = []

    def fuzz(operation, loose) -> None:
        @fuzzed
        @given(case=st.one_of(*map(operation.as_strategy, GenerationMode)))
        def answered(case) -> None:
            # An address with a line feed matches no mount of Airflow's, so it never comes to our app.
            assume("\n" not in "".join(map(str, (case.path_parameters or {}).values())))
            case.call_and_validate(headers=bearer, excluded_checks=loose)

        answered()

    for found in described.get_all_operations():
        operation = found.ok()
        try:
            fuzz(operation, LOOSE.get(operation.label, []))
        except FailureGroup as wrong:
            problems.append(f"{operation.label}: {wrong}")
    assert not problems, "\n".join(problems)


def test_it_describes_every_route_of_its_own(app, hub, bearer):
    from crm_airflow.web.app import create_app
    from crm_airflow.web.problems import API

    with browser(app) as client:
        told = client.get("/crm-sync/api/v1/openapi.json", headers=bearer).json()
    paths = {str(getattr(route, "path", "")) for route in create_app().routes}
    ours = {path for path in paths if path.startswith(f"{API}/connections")}
    assert set(told["paths"]) == ours
    assert told["servers"] == [{"url": "/crm-sync"}]
    assert f"{API}/connections/{{connection_id}}" in ours, NAME
