"""Durability: every row as one JSON document in SQLite, one synchronous commit per request that writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

Change = tuple[str, str, dict[str, Any] | None]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (object TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
                                    PRIMARY KEY (object, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""


class Storage:
    """The records and a few named documents of an org; without a directory it keeps nothing."""

    def __init__(self, directory: Path | None) -> None:
        self._db: sqlite3.Connection | None = None
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            file = directory / "org.sqlite3"
            file.touch(mode=0o600)  # tokens and secrets lie in it
            self._db = sqlite3.connect(
                directory / "org.sqlite3", isolation_level=None, check_same_thread=False
            )
            # FULL: a reply that a client has seen must survive a power cut, or its cursors lie.
            self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)

    @property
    def lasting(self) -> bool:
        """Whether anything outlives the process."""
        return self._db is not None

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (object, row) for everything stored."""
        if self._db is not None:
            for name, body in self._db.execute("SELECT object, body FROM records ORDER BY object, id"):
                yield name, orjson.loads(body)

    def setting(self, name: str) -> Any:
        """Return a named document, or None."""
        if self._db is None:
            return None
        found = self._db.execute("SELECT body FROM settings WHERE name = ?", (name,)).fetchone()
        return orjson.loads(found[0]) if found else None

    def names(self, prefix: str) -> list[str]:
        """Return the names of documents that begin so."""
        if self._db is None:
            return []
        found = "SELECT name FROM settings WHERE substr(name, 1, ?) = ? ORDER BY name"
        return [name for (name,) in self._db.execute(found, (len(prefix), prefix))]

    def documents(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Yield (name, document) of every name that begins so, in the order of names."""
        for name in self.names(prefix):
            yield name, self.setting(name)

    def commit(self, changes: Iterable[Change], settings: dict[str, Any] | None = None) -> None:
        """Store all of it or nothing."""
        if self._db is None:
            return
        puts, gone = [], []
        for name, id18, row in changes:
            if row is None:
                gone.append((name, id18))
            else:
                puts.append((name, id18, orjson.dumps(row)))
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", puts)
            db.executemany("DELETE FROM records WHERE object = ? AND id = ?", gone)
            documents = [(n, orjson.dumps(body)) for n, body in (settings or {}).items() if body is not None]
            db.executemany("INSERT OR REPLACE INTO settings VALUES (?, ?)", documents)
            forgotten = [(name,) for name, body in (settings or {}).items() if body is None]
            db.executemany("DELETE FROM settings WHERE name = ?", forgotten)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Give the file back."""
        if self._db is not None:
            self._db.close()
            self._db = None
