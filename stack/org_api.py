"""The org as its sales administrator works in it: create, change and read records by REST."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import requests

from stack.errors import StackError

AT_ONCE = 200  # records in one collection request
Row = dict[str, Any]


class OrgApi:
    """The stand-in, entered with the administrator's token."""

    def __init__(self, url: str, token: str) -> None:
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._root = url
        newest = self._get("/services/data/")[-1]
        self._data = f"{newest['url']}"

    def create(self, kind: str, rows: Sequence[Row]) -> list[str]:
        """Create records; return their ids."""
        return self._write("POST", [{"attributes": {"type": kind}, **row} for row in rows])

    def update(self, kind: str, rows: Sequence[Row]) -> None:
        """Change records; each row carries its Id."""
        changed = [
            {"attributes": {"type": kind}, "id": row["Id"], **{k: v for k, v in row.items() if k != "Id"}}
            for row in rows
        ]
        self._write("PATCH", changed)

    def query(self, soql: str) -> Iterator[Row]:
        """Every row of a query."""
        page = self._get(f"{self._data}/query", {"q": soql})
        while True:
            for row in page["records"]:
                row.pop("attributes", None)
                yield row
            if page["done"]:
                return
            page = self._get(page["nextRecordsUrl"])

    def count(self, kind: str) -> int:
        """How many records there are."""
        return int(self._get(f"{self._data}/query", {"q": f"SELECT COUNT() FROM {kind}"})["totalSize"])

    def see_gptweb_fields(self) -> None:
        """Assign the permission set that provisioning made to the administrator, as an org's admin does."""
        me = self._get("/services/oauth2/userinfo")["user_id"]
        sets = "SELECT ParentId FROM FieldPermissions WHERE Field = 'Contact.GPTWeb_Id__c' AND PermissionsRead = true"
        mine = {
            row["PermissionSetId"]
            for row in self.query(
                f"SELECT PermissionSetId FROM PermissionSetAssignment WHERE AssigneeId = '{me}'"
            )
        }
        for parent in {row["ParentId"] for row in self.query(sets)} - mine:
            self._call(
                "POST",
                f"{self._data}/sobjects/PermissionSetAssignment",
                json={"AssigneeId": me, "PermissionSetId": parent},
            )

    def _write(self, method: str, rows: Sequence[Row]) -> list[str]:
        ids = []
        for start in range(0, len(rows), AT_ONCE):
            body = {"allOrNone": True, "records": list(rows[start : start + AT_ONCE])}
            for result in self._call(method, f"{self._data}/composite/sobjects", json=body):
                if not result["success"]:
                    raise StackError(f"The org refused a record of the example data: {result['errors']}")
                ids.append(str(result["id"]))
        return ids

    def _get(self, path: str, parameters: dict[str, str] | None = None) -> Any:
        return self._call("GET", path, params=parameters)

    def _call(self, method: str, path: str, **words: Any) -> Any:
        reply = self._session.request(method, f"{self._root}{path}", timeout=60, **words)
        if not reply.ok:
            raise StackError(f"The org answered {reply.status_code} to {method} {path}: {reply.text[:400]}")
        return reply.json()
