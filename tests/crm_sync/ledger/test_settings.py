"""Settings as a person writes them: what is taken, and how what is not is said."""

from __future__ import annotations

import pytest

from crm_sync.decide.schema import Choices
from crm_sync.decide.settings import parse
from crm_sync.errors import Misconfigured


def test_who_is_to_see_the_fields_is_part_of_the_settings() -> None:
    given: dict[str, object] = {
        "sales_users": [" ann@sales.example ", "005000000000001", "005000000000001AAA"],
        "sales_profiles": ["Sales User"],
    }
    chosen = parse("main", given).provisioning
    assert chosen.sales_users == ("ann@sales.example", "005000000000001", "005000000000001AAA")
    assert chosen.sales_profiles == ("Sales User",)
    assert parse("main", {}).provisioning.sales_users == Choices().sales_users


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(Misconfigured) as caught:
        parse("main", {"sales_users": ["ann", "003000000000001"], "sales_profiles": [" "]})
    said = str(caught.value)
    assert "sales_users.0" in said
    assert "(given: 'ann')" in said
    assert "sales_users.1" in said
    assert "sales_profiles.0" in said
