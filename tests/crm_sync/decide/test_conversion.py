"""What of a converted lead travels to its contact, with literals."""

from __future__ import annotations

from crm_sync.decide.conversion import Carried, Filled, carry, edited_at, fill
from crm_sync.mapping_files import load_mappings
from crm_sync.model import Value
from tests.crm_sync.decide.records import CONTACT, T0, at, link, record

LEAD = load_mappings("salesforce")["lead"]


def test_a_new_contact_has_all_values_and_the_base_of_what_the_conversion_copies() -> None:
    agreed: dict[str, Value] = {"title": "a", "city": "Ghent", "status": "New", "total_score": 1.0}
    ours = record(title="b", city="Ghent", status="New", total_score=2.0, phone=None)
    base = {"title": "a", "mailing_city": "Ghent"}
    assert carry(LEAD, CONTACT, link(agreed, agreed), ours) == Carried(
        {"title": "b", "mailing_city": "Ghent", "total_score": 2.0}, base, base
    )


def test_a_known_contact_keeps_what_it_has() -> None:
    agreed = {"title": "a", "email": "x", "city": "Ghent"}
    ours = record(title="b", email="x", city="Ghent", phone="1")
    known = {"title": "c", "email": "y", "mailing_city": "Ghent ", "phone": None}
    assert fill(LEAD, CONTACT, link(agreed, agreed), ours, known) == Filled(
        {"phone": "1"}, (("title", "b", "c"),)
    )


def test_values_keep_their_times() -> None:
    ours = record({"city": at(5)}, city="Ghent", title="a")
    assert edited_at(ours, ["mailing_city", "title"]) == {"mailing_city": at(5), "title": T0}
