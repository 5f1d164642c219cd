"""A stand-in for each test, and the sessions of its users."""

import pytest

from tests.salesforce_standin.running import ADMIN_TOKEN, Client, Running, provide, token_of


@pytest.fixture
def standin():
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def client(standin):
    """The integration user."""
    made = Client(standin.base, token_of(standin.base))
    yield made
    made.http.close()


@pytest.fixture
def admin(standin):
    """The sales administrator."""
    made = Client(standin.base, ADMIN_TOKEN)
    yield made
    made.http.close()


@pytest.fixture
def keyed(client):
    """The integration user of an org in which Contact has the custom fields of the sync."""
    provide(client, "Contact")
    return client
