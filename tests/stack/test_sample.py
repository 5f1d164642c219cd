"""The example data: as many records as the demo says, always the same, and awkward enough."""

from collections import Counter

from stack.sample import Maker

SAMPLE = Maker().sample()
EVERYBODY = [*SAMPLE.accounts, *SAMPLE.contacts, *SAMPLE.leads]


def test_the_union_has_the_announced_sizes() -> None:
    assert (len(SAMPLE.accounts), len(SAMPLE.contacts), len(SAMPLE.leads)) == (300, 1500, 500)


def test_it_is_always_the_same() -> None:
    assert Maker().sample() == SAMPLE


def test_records_are_on_either_side_and_on_both() -> None:
    for people in (SAMPLE.accounts, SAMPLE.contacts, SAMPLE.leads):
        kinds = Counter((p.ours is not None, p.theirs is not None) for p in people)
        assert min(kinds[True, True], kinds[True, False], kinds[False, True]) >= 75


def test_common_records_agree_fill_blanks_and_contradict() -> None:
    kinds: Counter[str] = Counter()
    for person in SAMPLE.contacts:
        for column, theirs in (person.theirs or {}).items() if person.ours else ():
            ours = person.ours[column] if person.ours else None
            kinds["same" if ours == theirs else "blank" if None in {ours, theirs} else "conflict"] += 1
    assert min(kinds["same"], kinds["blank"], kinds["conflict"]) > 50


def test_the_text_is_awkward() -> None:
    texts = [
        v
        for p in EVERYBODY
        for side in (p.ours, p.theirs)
        for v in (side or {}).values()
        if isinstance(v, str)
    ]
    for sign in ("'", '"', "\n", ",", "🚀", "م", "ש", "\\N", "NULL", "\t"):
        assert any(sign in text for text in texts), sign
    assert any(len(text) == 255 for text in texts)
    assert all(text == text.strip() for text in texts)


def test_contacts_point_to_accounts_on_the_same_sides() -> None:
    held = [p for p in SAMPLE.contacts if p.account]
    assert len(held) > 300
    assert all(p.ours is None or (p.account and p.account.ours) for p in held)
    assert all(p.theirs is None or (p.account and p.account.theirs) for p in held)


def test_a_handful_cannot_be_synced_as_it_is() -> None:
    assert Counter(p.odd for p in EVERYBODY if p.odd) == {
        "no last name": 1, "no company": 1, "invalid e-mail": 2,
        "two of ours with one e-mail": 2, "two of theirs with one e-mail": 2,
    }  # fmt: skip
