"""SOSL as text: what is looked for, in which fields, of which objects; and whether a record's texts hold it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from salesforce_standin.errors import ApiError, fail

_FIND = re.compile(r"\s*FIND\s*\{((?:\\.|[^\\}])*)\}\s*", re.IGNORECASE | re.DOTALL)
_IN = re.compile(r"IN\s+(ALL|NAME|EMAIL|PHONE|SIDEBAR)\s+FIELDS\s*", re.IGNORECASE)
_LIMIT = re.compile(r"\s*LIMIT\s+(\d+)\s*\Z", re.IGNORECASE)
_WITH = re.compile(
    r"\s*\bWITH\s+(?:DATA\s+CATEGORY|SNIPPET|NETWORK|METADATA|HIGHLIGHT|SPELL_CORRECTION)\b.*\Z", re.I | re.S
)
_OBJECT = re.compile(r"\s*(\w+)\s*")
_CLAUSE = re.compile(r"\b(?:WHERE|ORDER\s+BY|LIMIT|OFFSET|USING)\b", re.IGNORECASE)
_TERM = re.compile(r'"((?:\\.|[^"\\])*)"|([()])|((?:\\.|[^\s()"\\])+)')
_WORD = re.compile(r"\w+")
_PATTERN = re.compile(r"[\w*?]+")

# The words of a record's texts, one list a text.
Texts = list[list[str]]
Matches = Callable[[Texts], bool]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object to look through: the fields to show, and the clauses behind them."""

    name: str
    fields: str = "Id"
    clauses: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """A whole search; without objects it goes through all of them."""

    matches: Matches
    group: str
    objects: tuple[Wanted, ...]
    limit: int


def malformed(message: str) -> ApiError:
    """Return the error of a search that can't be read."""
    return fail(400, "MALFORMED_SEARCH", message)


def parse(text: str, most: int) -> Search:
    """Read a search."""
    found = _FIND.match(text)
    if found is None:
        raise malformed("No search term found. The search term must be enclosed in braces.")
    rest = text[found.end() :]
    limit, end = most, _LIMIT.search(rest)
    if end is not None:
        limit, rest = min(int(end[1]), most), rest[: end.start()]
    group = _IN.match(rest)
    rest = _WITH.sub("", rest[group.end() :] if group else rest).strip()
    objects: tuple[Wanted, ...] = ()
    if rest[:9].lower() == "returning":
        objects, rest = tuple(_objects(rest[9:])), ""
    if rest:
        raise malformed(f"unexpected token: '{rest.split()[0]}'")
    return Search(matcher(found[1]), (group[1] if group else "ALL").upper(), objects, limit)


def _objects(text: str) -> Iterable[Wanted]:
    """Read what follows RETURNING: names, with fields and clauses in parentheses."""
    while True:
        name = _OBJECT.match(text)
        if name is None:
            raise malformed(f"unexpected token: '{text.strip()[:1] or '<EOF>'}'")
        text = text[name.end() :]
        if text.startswith("("):
            inside, text = _inside(text)
            clause = _CLAUSE.search(inside)
            cut = clause.start() if clause else len(inside)
            yield Wanted(name[1], inside[:cut], inside[cut:])
        else:
            yield Wanted(name[1])
        text = text.strip()
        if not text:
            return
        if not text.startswith(","):
            raise malformed(f"unexpected token: '{text.split()[0]}'")
        text = text[1:]


def _inside(text: str) -> tuple[str, str]:
    """Return what stands in the first parentheses, and what follows; those in quotes are text."""
    depth, quoted, place = 0, False, 0
    while place < len(text):
        sign = text[place]
        if sign == "\\":
            place += 1
        elif sign == "'":
            quoted = not quoted
        elif not quoted:
            depth += (sign == "(") - (sign == ")")
            if depth == 0:
                return text[1:place], text[place + 1 :]
        place += 1
    raise malformed("unexpected token: '<EOF>'")


def words(text: str) -> list[str]:
    """Return the words of a text."""
    return [word.lower() for word in _WORD.findall(text)]


def matcher(term: str) -> Matches:
    """Return the test of a search term: words beside each other must all be there, in any text."""
    parts = [(quoted or mark or plain, bool(quoted)) for quoted, mark, plain in _TERM.findall(term)]
    if len(term.strip().strip('"')) < 2:
        raise malformed(f"Search term must be longer than one character: {term.strip()}")
    reader = _Terms(parts)
    found = reader.either()
    if reader.place < len(parts):
        raise malformed(f"unexpected token: '{parts[reader.place][0]}'")
    return found


class _Terms:
    """Reads the words, AND, OR, AND NOT and parentheses of a term."""

    def __init__(self, parts: list[tuple[str, bool]]) -> None:
        self.parts = parts
        self.place = 0

    def here(self) -> str:
        part = self.parts[self.place] if self.place < len(self.parts) else ("", False)
        return "" if part[1] else part[0]

    def accept(self, *names: str) -> bool:
        found = self.here() in names
        self.place += found
        return found

    def either(self) -> Matches:
        tests = [self.both()]
        while self.accept("OR"):
            tests.append(self.both())
        return lambda texts: any(test(texts) for test in tests)

    def both(self) -> Matches:
        tests = [self.single()]
        while self.place < len(self.parts) and self.here() not in {"OR", ")"}:
            self.accept("AND")
            tests.append(self.single())
        return lambda texts: all(test(texts) for test in tests)

    def single(self) -> Matches:
        if self.accept("NOT"):
            inside = self.single()
            return lambda texts: not inside(texts)
        if self.accept("("):
            grouped = self.either()
            if not self.accept(")"):
                raise malformed("unexpected token: '<EOF>'")
            return grouped
        if self.place >= len(self.parts) or self.here() in {"AND", "OR", ")"}:
            raise malformed(f"unexpected token: '{self.here() or '<EOF>'}'")
        text = re.sub(r"\\(.)", r"\1", self.parts[self.place][0])
        self.place += 1
        return _phrase([_pattern(word) for word in _PATTERN.findall(text)])


def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(re.escape(word.lower()).replace(r"\*", r"\w*").replace(r"\?", r"\w"))


def _phrase(patterns: list[re.Pattern[str]]) -> Matches:
    """Return the test whether some text holds words that fit, one behind the other; none fit nothing."""

    def test(texts: Texts) -> bool:
        return bool(patterns) and any(
            all(pattern.fullmatch(word) for pattern, word in zip(patterns, text[start:], strict=False))
            for text in texts
            for start in range(len(text) - len(patterns) + 1)
        )

    return test
