"""From tokens to the tree of a query."""

from __future__ import annotations

from salesforce_standin.clock import parse_datetime
from salesforce_standin.soql import dates, functions
from salesforce_standin.soql.tokens import Source, Token, unquote
from salesforce_standin.soql.tree import (
    Aggregate,
    Column,
    Comparison,
    Condition,
    FieldsOf,
    Group,
    Literal,
    Membership,
    Order,
    Path,
    Query,
    Selected,
    TypeOf,
)

AGGREGATES = frozenset({"count", "count_distinct", "min", "max", "sum", "avg", "grouping"})
_ENDS = frozenset(
    {"where", "order", "group", "having", "limit", "offset", "for", "with", "using", "all", "update"}
)
_OPERATORS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})


def parse(text: str) -> Query:
    """Read a query."""
    return _Parser(Source(text)).whole()


class _Parser:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = source.tokens()
        self.place = 0

    # -- small steps -------------------------------------------------------------------------------------------
    @property
    def here(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.here
        self.place += token.kind != "end"
        return token

    def accept(self, *words: str) -> Token | None:
        """Take the next token if it is one of these words or signs (never a string that reads like one)."""
        token = self.here
        if token.kind in {"name", "op"} and token.lower in words:
            return self.take()
        return None

    def unexpected(self, token: Token | None = None) -> Exception:
        token = token or self.here
        return self.source.malformed(token.at, f"unexpected token: '{token.text}'")

    def need(self, word: str) -> Token:
        token = self.accept(word)
        if token is None:
            raise self.unexpected()
        return token

    def name(self) -> Token:
        if self.here.kind != "name":
            raise self.unexpected()
        return self.take()

    def path(self) -> Path:
        return _path(self.name())

    def integer(self) -> int:
        token = self.take()
        if token.kind != "number" or not token.text.isdigit():
            raise self.unexpected(token)
        return int(token.text)

    # -- clauses -----------------------------------------------------------------------------------------------
    def whole(self) -> Query:
        query = self.query()
        if self.here.kind != "end":
            raise self.unexpected()
        return query

    def query(self) -> Query:
        start = self.need("select")
        select = [self.selected()]
        while self.accept(","):
            select.append(self.selected())
        self.need("from")
        entity = self.name()
        alias = None
        self.accept("as")
        if self.here.kind == "name" and self.here.lower not in _ENDS:
            alias = self.take().text
        among = self.scope()
        where = self.condition() if self.accept("where") else None
        self.security()
        totals, group_by, having = self.groups()
        order_by = self.orders()
        limit = self.integer() if self.accept("limit") else None
        offset = self.integer() if self.accept("offset") else 0
        self.hints()
        return Query(
            tuple(select), entity.text, entity.at, alias, where, group_by, having, order_by, limit, offset,
            start.at, totals, among, self.source,
        )  # fmt: skip

    def scope(self) -> str:
        if not self.accept("using"):
            return ""
        self.need("scope")
        return self.name().lower

    def security(self) -> None:
        if self.accept("with") and not self.accept("security_enforced", "user_mode", "system_mode"):
            raise self.unexpected()

    def hints(self) -> None:
        """Pass over what changes no result over the API."""
        while self.accept("for", "update"):
            if not self.accept("view", "reference", "update", "tracking", "viewstat"):
                raise self.unexpected()
        if self.here.lower == "all":
            raise self.source.malformed(self.here.at, "ALL ROWS not allowed in this context")

    def selected(self) -> Selected:
        if self.accept("("):
            query = self.query()
            self.need(")")
            return query
        token = self.name()
        if token.lower == "typeof" and self.here.kind == "name":
            return self.typeof()
        if self.accept("(") and not functions.known(token.lower):
            return self.function(token)
        path = self.of_field(token) if functions.known(token.lower) else _path(token)
        alias = None
        if self.here.kind == "name" and self.here.lower != "from":
            alias = self.take()
            # Only grouped queries name their columns, and that is seen later; "SELECT Id FORM x" is seen here.
            if self.here.lower != "from" and not (self.here.kind == "op" and self.here.text == ","):
                raise self.unexpected(alias)
        return Column(path, alias.text if alias else None)

    def typeof(self) -> TypeOf:
        relationship = self.path()
        when: list[tuple[str, tuple[Path, ...]]] = []
        while self.accept("when"):
            kind = self.name()
            self.need("then")
            when.append((kind.text, self.paths()))
        if not when:
            raise self.unexpected()
        otherwise = self.paths() if self.accept("else") else ()
        self.need("end")
        return TypeOf(relationship, tuple(when), otherwise)

    def paths(self) -> tuple[Path, ...]:
        found = [self.path()]
        while self.accept(","):
            found.append(self.path())
        return tuple(found)

    def function(self, token: Token) -> Aggregate | FieldsOf:
        if token.lower == "fields":
            which = self.name()
            self.need(")")
            if which.lower not in {"all", "custom", "standard"}:
                raise self.unexpected(which)
            return FieldsOf(which.lower, token.at)
        if token.lower not in AGGREGATES:
            raise self.unexpected(token)
        inside = None if self.here.text == ")" else self.path()
        self.need(")")
        alias = None
        if self.here.kind == "name" and self.here.lower not in _ENDS | {
            "from",
            "asc",
            "desc",
            "nulls",
            "and",
            "or",
        }:
            alias = self.take().text
        return Aggregate(token.lower, inside, alias, token.at)

    def of_field(self, token: Token) -> Path:
        """Read the rest of a function of a field, whose parenthesis is open."""
        name = self.name()
        if functions.nests(token.lower, name.lower) and self.accept("("):
            inside = self.path()
            self.need(")")
            found = Path(inside.names, inside.at, token.lower, name.lower)
        else:
            inside = _path(name)
            found = Path(inside.names, inside.at, token.lower)
        self.need(")")
        return found

    def operand(self) -> Path | Aggregate:
        """Read what is compared or sorted by: a field, a function of one, or an aggregate."""
        token = self.name()
        if not self.accept("("):
            return _path(token)
        if functions.known(token.lower):
            return self.of_field(token)
        found = self.function(token)
        if isinstance(found, FieldsOf):
            raise self.unexpected(token)
        return found

    def key(self) -> Path:
        found = self.operand()
        if isinstance(found, Aggregate):
            raise self.source.malformed(found.at, "Aggregate functions are not allowed in GROUP BY")
        return found

    def groups(self) -> tuple[str, tuple[Path, ...], Condition | None]:
        if not self.accept("group"):
            return "", (), None
        self.need("by")
        totals = self.accept("rollup", "cube")
        if totals:
            self.need("(")
        keys = [self.key()]
        while self.accept(","):
            keys.append(self.key())
        if totals:
            self.need(")")
        having = self.condition() if self.accept("having") else None
        return totals.lower if totals else "", tuple(keys), having

    def orders(self) -> tuple[Order, ...]:
        if not self.accept("order"):
            return ()
        self.need("by")
        keys = [self.order()]
        while self.accept(","):
            keys.append(self.order())
        return tuple(keys)

    def order(self) -> Order:
        key = self.operand()
        word = self.accept("asc", "desc")
        nulls_last = False
        if self.accept("nulls"):
            side = self.accept("first", "last")
            if side is None:
                raise self.unexpected()
            nulls_last = side.lower == "last"
        return Order(key, word is not None and word.lower == "desc", nulls_last)

    # -- conditions --------------------------------------------------------------------------------------------
    def condition(self) -> Condition:
        """Read conditions joined by one kind of word: AND and OR need parentheses to meet."""
        parts = [self.single()]
        joined = ""
        while word := self.accept("and", "or"):
            if joined and word.lower != joined:
                raise self.unexpected(word)
            joined = word.lower
            parts.append(self.single())
        return parts[0] if len(parts) == 1 else Group(joined, tuple(parts))

    def single(self) -> Condition:
        if self.accept("not"):
            return Group("not", (self.single(),))
        if self.accept("("):
            inside = self.condition()
            self.need(")")
            return inside
        return self.comparison(self.operand())

    def comparison(self, left: Path | Aggregate) -> Condition:
        token = self.take()
        word = token.lower
        if word == "not" and self.accept("in"):
            word = "not in"
        if word in {"in", "not in", "includes", "excludes"} and isinstance(left, Path):
            return Membership(left, word, self.members())
        if word == "like":
            literal = self.take()
            if literal.kind != "string":
                raise self.unexpected(literal)
            return Comparison(
                left, "like", Literal("string", unquote(literal.text, pattern=True), literal.at)
            )
        if word not in _OPERATORS:
            raise self.unexpected(token)
        return Comparison(left, "!=" if word == "<>" else word, self.literal())

    def members(self) -> tuple[Literal, ...] | Query:
        self.need("(")
        if self.here.kind == "name" and self.here.lower == "select":
            query = self.query()
            self.need(")")
            return query
        values = [self.literal()]
        while self.accept(","):
            values.append(self.literal())
        self.need(")")
        return tuple(values)

    def literal(self) -> Literal:  # noqa: PLR0911 - one way out per kind of constant
        token = self.take()
        if token.kind == "string":
            return Literal("string", unquote(token.text), token.at)
        if token.kind == "number":
            number = float(token.text)
            return Literal("number", int(number) if number.is_integer() else number, token.at)
        if token.kind == "datetime":
            stamp = parse_datetime(token.text)
            if stamp is None or (token.text[-1].isdigit() and not _has_zone(token.text)):
                message = f"line 1:{token.at} no viable alternative at input '{token.text}'"
                raise self.source.malformed(token.at, message)
            return Literal("datetime", stamp, token.at)
        if token.kind == "date":
            return Literal("date", token.text, token.at)
        if token.kind == "name" and token.lower in {"true", "false"}:
            return Literal("boolean", token.lower == "true", token.at)
        if token.kind == "name" and token.lower == "null":
            return Literal("null", None, token.at)
        if token.kind == "name" and dates.known(token.lower):
            count = 0
            if dates.counted(token.lower):
                self.need(":")
                count = self.integer()
            return Literal("range", (token.lower, count), token.at)
        raise self.unexpected(token)


def _path(token: Token) -> Path:
    return Path(tuple(token.text.split(".")), token.at)


def _has_zone(text: str) -> bool:
    return text.endswith("Z") or text[-6:-5] in {"+", "-"} or text[-5:-4] in {"+", "-"}
