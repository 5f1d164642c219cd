"""From SOQL text to tokens, and the platform's way to point at the place where a query goes wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

from salesforce_standin.errors import ApiError, fail

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)
  | (?P<date>\d{4}-\d\d-\d\d)
  | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
  | (?P<op><=|>=|!=|<>|=|<|>|\(|\)|,|:)
  )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "N": "\n", "R": "\r", "T": "\t"}


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a query and where it stands."""

    kind: str
    text: str
    at: int

    @property
    def lower(self) -> str:
        """Return the word for comparing: SOQL knows no case."""
        return self.text.lower()


class Source:
    """The text of a query."""

    def __init__(self, text: str) -> None:
        self.text = text

    def error(self, at: int, code: str, message: str) -> ApiError:
        """Return an error that shows the query with a caret under a place (facts/salesforce.md 4.5)."""
        before = self.text[:at]
        row = before.count("\n")
        column = at - (before.rfind("\n") + 1)
        line = self.text.split("\n")[row]
        text = f"\n{line}\n{' ' * column}^\nERROR at Row:{row + 1}:Column:{column + 1}\n{message}"
        return fail(400, code, text)

    def malformed(self, at: int, message: str) -> ApiError:
        """Return the error of a query that can't be read."""
        return self.error(at, "MALFORMED_QUERY", message)

    def tokens(self) -> list[Token]:
        """Split the text."""
        found: list[Token] = []
        place, end = 0, len(self.text.rstrip())
        while place < end:
            match = _TOKEN.match(self.text, place)
            if match is None or match.lastgroup is None:
                at = place + len(self.text[place:]) - len(self.text[place:].lstrip())
                char = self.text[at]
                if char == "'":
                    raise self.malformed(
                        at, "line 1:" + str(at) + " mismatched character '<EOF>' expecting '''"
                    )
                raise self.malformed(at, f"line 1:{at} no viable alternative at character '{char}'")
            found.append(Token(match.lastgroup, match.group(match.lastgroup), match.start(match.lastgroup)))
            place = match.end()
        found.append(Token("end", "<EOF>", end))
        return found


def unquote(literal: str, *, pattern: bool = False) -> str:
    """Return the value of a string literal; a LIKE pattern keeps its escaped wildcards."""

    def plain(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        if pattern and code in "%_\\":
            return "\\" + code
        return _ESCAPES.get(code, code)

    return _ESCAPE.sub(plain, literal[1:-1])
