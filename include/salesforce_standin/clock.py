"""The server's clock, which a test may set off, and the spellings of time on the wire."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

_DATETIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?\Z"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Clock:
    """Wall-clock time plus an offset in seconds."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.frozen: float | None = None

    def now(self) -> float:
        """Return the epoch seconds that this server believes in."""
        return (time.time() if self.frozen is None else self.frozen) + self.offset

    def freeze(self, *, stop: bool) -> None:
        """Stop the clock, so that all that is written carries one stamp, or let it run on."""
        self.frozen = time.time() if stop else None

    def stamp(self) -> str:
        """Return now as records carry it: whole seconds (facts/salesforce.md 9, "Precision")."""
        return stamp_of(self.now())

    def moment(self) -> datetime:
        """Return now as an aware datetime."""
        return datetime.fromtimestamp(self.now(), UTC)

    def http_date(self) -> str:
        """Return now as HTTP headers spell it."""
        return http_date(self.now())


def http_date(epoch: float) -> str:
    """Spell a time as HTTP headers do."""
    return format_datetime(datetime.fromtimestamp(epoch, UTC), usegmt=True)


def stamp_of(epoch: float) -> str:
    """Spell a time as JSON bodies do; these strings sort as the times do."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(epoch)) + ".000+0000"


def stamp_from(moment: datetime) -> str:
    """Spell an aware datetime as JSON bodies do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") + ".000+0000"


def epoch_of(stamp: str) -> float:
    """Return the epoch seconds of a canonical stamp."""
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


def parse_datetime(text: str) -> str | None:
    """Return the canonical stamp of any accepted spelling, or None if it is no time; no zone means GMT."""
    match = _DATETIME.match(text)
    if not match:
        return None
    year, month, day, hour, minute, second, zone = match.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
    except ValueError:
        return None
    if zone and zone != "Z":
        shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        moment += -shift if zone[0] == "+" else shift
    return stamp_from(moment)


def parse_date(text: str) -> str | None:
    """Return YYYY-MM-DD if the text is a date (or a time, whose date it is), else None."""
    if not _DATE.match(text) or (len(text) > 10 and parse_datetime(text) is None):
        return None
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return None


def parse_http_date(text: str) -> float | None:
    """Return the epoch seconds of an HTTP date header, or None if it can't be read."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
