"""The example data: 300 accounts, 1,500 contacts and 500 leads in the union of both sides; always the same.

A record is held by GPTWeb, by the CRM or by both; both together may agree, fill each other's blanks or contradict.
A handful cannot be synced as they are: these are to be parked with a reason.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

from stack.sample_words import (
    AWKWARD,
    CITIES,
    DEPARTMENTS,
    FIRST,
    INDUSTRIES,
    LAST,
    LONG,
    NAMES,
    STATUSES,
    TITLES,
    TRADES,
)

Values = dict[str, Any]
# (on both sides, only in GPTWeb, only in the CRM); the oddities are added to these.
ACCOUNTS, CONTACTS, LEADS = (150, 75, 75), (600, 445, 447), (200, 149, 150)


@dataclass
class Person:
    """One record as each side holds it, by our column names; ``None`` where a side does not have it."""

    object: str
    ours: Values | None
    theirs: Values | None
    our_id: str
    account: Person | None = None
    their_id: str | None = None
    odd: str = ""


@dataclass
class Sample:
    """All example records."""

    accounts: list[Person] = field(default_factory=list)
    contacts: list[Person] = field(default_factory=list)
    leads: list[Person] = field(default_factory=list)

    def of(self, name: str) -> list[Person]:
        """The records of one object."""
        found: list[Person] = getattr(self, f"{name}s")
        return found


class Maker:
    """Makes the sample from one seed."""

    def __init__(self, seed: int = 2) -> None:
        self._random = random.Random(seed)
        self._number = 0

    def sample(self) -> Sample:
        """All records; contacts point to accounts that exist on the same sides."""
        made = Sample()
        made.accounts = [self._split("account", self._account(), sides) for sides in _sides(ACCOUNTS)]
        made.contacts = [self._contact_of(made.accounts, sides) for sides in _sides(CONTACTS)]
        made.leads = [self._split("lead", self._lead(), sides) for sides in _sides(LEADS)]
        made.contacts += self._odd_contacts()
        made.leads += [self._new("lead", self._lead() | {"company": None}, None, "no company")]
        return made

    def newcomer(self, name: str) -> Values:
        """A fresh record, for the edits of the second act."""
        return {"account": self._account, "contact": self._contact, "lead": self._lead}[name]()

    def measures(self) -> Values:
        """What GPTWeb measured; the CRM learns of it."""
        pick = self._random
        return {
            "total_score": round(pick.uniform(0, 100), 2),
            "is_dql": pick.random() < 0.3,
            "last_visit_at": f"2026-{pick.randint(1, 10):02}-{pick.randint(1, 28):02}T{pick.randint(0, 23):02}:30:15Z",
            "visit_count": pick.randint(0, 400),
            "engagement_level": pick.choice(("cold", "warm", "hot", "très élevé", None)),
            "lead_source": pick.choice(("organic", "campaign “spring, 50% off”", "chat", None)),
        }

    def _new(self, name: str, ours: Values | None, theirs: Values | None, odd: str = "") -> Person:
        our_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        return Person(name, None if ours is None else ours | self.measures(), theirs, our_id, odd=odd)

    def _split(self, name: str, values: Values, sides: str) -> Person:
        """Give a record to its sides; on both it agrees (60 %), fills blanks (25 %) or contradicts (15 %)."""
        if sides != "both":
            return self._new(name, values if sides == "ours" else None, values if sides == "theirs" else None)
        ours, theirs = dict(values), dict(values)
        loose = [
            c
            for c in values
            if c not in {"email", "last_name", "company", "name", "website", "status"}
            and values[c] is not None
        ]
        luck = self._random.random()
        if luck > 0.6 and loose:
            for column in self._random.sample(loose, min(3, len(loose))):
                self._random.choice((ours, theirs))[column] = None
        if luck > 0.85:
            ours["phone"], theirs["phone"] = self._phone(), self._phone()
        return self._new(name, ours, theirs)

    def _contact_of(self, accounts: list[Person], sides: str) -> Person:
        made = self._split("contact", self._contact(), sides)
        at = self._random.choice(accounts)
        reachable = (made.ours is None or at.ours is not None) and (
            made.theirs is None or at.theirs is not None
        )
        made.account = at if reachable else None
        return made

    def _odd_contacts(self) -> list[Person]:
        twins, double = self._contact(), self._contact()
        return [
            self._new("contact", self._contact() | {"last_name": None}, None, "no last name"),
            self._new("contact", self._contact() | {"email": "not an address"}, None, "invalid e-mail"),
            self._new("contact", self._contact() | {"email": "a@b@c.example"}, None, "invalid e-mail"),
            self._new("contact", twins, twins, "two of ours with one e-mail"),
            self._new("contact", twins | {"first_name": "Twin"}, None, "two of ours with one e-mail"),
            self._new("contact", double, double, "two of theirs with one e-mail"),
            self._new("contact", None, double | {"title": "Double"}, "two of theirs with one e-mail"),
            self._new("contact", self._contact() | {"email": None}, None),
        ]

    def _account(self) -> Values:
        pick, n = self._random, self._next()
        name = f"{pick.choice(NAMES)} {pick.choice(TRADES)} {n}"
        site = f"https://www.firm{n}.example" if pick.random() < 0.8 else None
        known: Values = {
            "name": name + self._spice(40), "website": site, "phone": self._phone(), "industry": pick.choice(INDUSTRIES),
            "number_of_employees": pick.choice((None, pick.randint(1, 90_000))),
            "annual_revenue": pick.choice((None, pick.randint(1, 10**9) / 100)),
        }  # fmt: skip
        return known | self._address("billing_") | {"description": self._text()}

    def _contact(self) -> Values:
        first, last, email = self._name()
        pick = self._random
        known: Values = {
            "first_name": first, "last_name": last, "email": email, "phone": self._phone(),
            "mobile_phone": pick.choice((None, self._phone())), "title": pick.choice(TITLES) + self._spice(30),
            "department": pick.choice(DEPARTMENTS),
        }  # fmt: skip
        return known | self._address("mailing_") | {"description": self._text()}

    def _lead(self) -> Values:
        first, last, email = self._name()
        pick = self._random
        known: Values = {
            "first_name": first, "last_name": last, "company": f"{pick.choice(NAMES)} {self._number}", "email": email,
            "phone": self._phone(), "title": pick.choice(TITLES), "status": pick.choice(STATUSES),
            "website": f"https://lead{self._number}.example/?q=a,b" if pick.random() < 0.5 else None,
        }  # fmt: skip
        return known | self._address("") | {"description": self._text()}

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _name(self) -> tuple[str | None, str, str]:
        first, last, n = self._random.choice(FIRST), self._random.choice(LAST), self._next()
        return first, last, f"person.{n}@firm{n % 240 + 1}.example"

    def _phone(self) -> str:
        return f"+44 20 {self._random.randint(1000, 9999)} {self._random.randint(0, 9999):04}"

    def _spice(self, longest: int) -> str:
        """Now and then something that a careless system trips over."""
        choice = self._random.choice(AWKWARD) if self._random.random() < 0.12 else ""
        return f" {choice}" if choice and len(choice) <= longest and "\n" not in choice else ""

    def _text(self) -> str | None:
        luck = self._random.random()
        return (
            self._random.choice((*AWKWARD, LONG))
            if luck < 0.25
            else None
            if luck < 0.6
            else f"Met in {self._random.choice(CITIES)[0]}."
        )

    def _address(self, prefix: str) -> Values:
        city, state, code, country = self._random.choice(CITIES)
        street = self._random.choice(
            (f"{self._next()} High Street", f"Flat 3\n{self._number} Mill Lane", LONG[:255], None)
        )
        parts = {"street": street, "city": city, "state": state, "postal_code": code, "country": country}
        return {f"{prefix}{part}": value for part, value in parts.items()}


def _sides(counts: tuple[int, int, int]) -> list[str]:
    return [
        side for side, count in zip(("both", "ours", "theirs"), counts, strict=True) for _ in range(count)
    ]
