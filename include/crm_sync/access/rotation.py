"""Rotation of the vault's keys: every stored value is sealed anew under the first key, row by row, while others work."""

from __future__ import annotations

from dataclasses import dataclass

from crm_sync.access.vault import Vault
from crm_sync.errors import Misconfigured
from crm_sync.ledger import credentials
from crm_sync.ledger.database import Database

__all__ = ["Rotation", "rotate"]


@dataclass(frozen=True, slots=True)
class Rotation:
    """What became of the stored values."""

    key_id: str
    resealed: int
    kept: int

    @property
    def counts(self) -> dict[str, int]:
        """Numbers by name."""
        return {"resealed": self.resealed, "kept": self.kept}

    def lines(self) -> list[str]:
        """Sentences for people."""
        return [
            f"Vault key {self.key_id!r} seals now: {self.resealed} values sealed anew, {self.kept} were already.",
            "The keys behind it are needed no more, if every process had this ring before; if not, rotate once again.",
        ]


def rotate(database: Database, vault: Vault) -> Rotation:
    """Seal every credential anew under the ring's first key; old keys have to be in the ring while this runs.

    What waits for a browser is left to its key: it is gone within minutes.
    """
    resealed = kept = 0
    problems: list[str] = []
    with database.transaction() as tx:
        names = credentials.sealed_connections(tx)
    for name in names:
        problem = None
        try:
            if _reseal(database, vault, name):
                resealed += 1
            else:
                kept += 1
        except Misconfigured as error:
            problem = str(error)
            problems.append(problem)
        with database.transaction() as tx:
            credentials.note_rotation(tx, name, problem)
    rotation = Rotation(vault.ring.first, resealed, kept)
    if problems:
        raise Misconfigured("; ".join([*problems, rotation.lines()[0]]))
    return rotation


def _reseal(database: Database, vault: Vault, connection: str) -> bool:
    with database.transaction() as tx:
        row = credentials.lock(tx, connection)
        if row.sealed is None or vault.key_of(row.sealed) == vault.ring.first:
            return False
        payload = vault.open(connection, "tokens", row.sealed)
        credentials.reseal(tx, connection, vault.seal(connection, "tokens", payload), vault.ring.first)
        return True
