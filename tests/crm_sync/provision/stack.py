"""Provisioning over a socket: the stand-in org, the metered transport that can break, and a ledger in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from requests import Response

from crm_sync.access.login import Session
from crm_sync.access.transport import MeteredSession, Reply
from crm_sync.decide.schema import Choices
from crm_sync.provision import Provisioning
from crm_sync.stores.salesforce_schema import SalesforceSchema
from tests.crm_sync.provision.orgs import MAPPINGS, Killed, MemoryLedger
from tests.crm_sync.provision.standin import Standin
from tests.crm_sync.stores.standin import CountingMeter


@dataclass
class FixedLogin:
    """A session that never ends."""

    session: Session

    def token(self) -> Session:
        return self.session

    def renew(self, refused: Session) -> Session:
        return self.session


class Breaking(MeteredSession):
    """Breaks at one call, before it leaves or (``after``) before its reply is seen."""

    dies_at = 0
    after = False
    error: BaseException = Killed()
    calls = 0

    def call(self, method: str, path: str, **content: Any) -> Reply:
        return cast("Reply", self._broken(super().call, method, path, **content))

    def post(self, url: Any, data: Any = None, json: Any = None, **content: Any) -> Response:
        return cast("Response", self._broken(super().post, url, data, json, **content))

    def _broken(self, send: Callable[..., object], *parts: Any, **content: Any) -> object:
        self.calls += 1
        if self.calls == self.dies_at and not self.after:
            raise self.error
        reply = send(*parts, **content)
        if self.calls == self.dies_at:
            raise self.error
        return reply


@dataclass
class Stack:
    """One org and the provisioning of it."""

    standin: Standin
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    meter: CountingMeter = field(default_factory=CountingMeter)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    choices: Choices = field(default_factory=Choices)

    def transport(self) -> Breaking:
        login = FixedLogin(Session(self.standin.integration_token(), self.standin.url))
        return Breaking(login, self.meter, purpose="provision", sleep=lambda seconds: None)

    def stages(self, transport: Breaking | None = None) -> Provisioning:
        org = SalesforceSchema(transport or self.transport(), self.choices, lambda seconds: None)
        return Provisioning("salesforce_main", lambda run_id: org, MAPPINGS, self.ledger)

    def run(self, transport: Breaking | None = None) -> int:
        dag_run_id = f"run {next(self.numbers)}"
        run_id, _ = self.stages(transport).plan(dag_run_id)
        self.stages(transport).apply(run_id)
        self.stages(transport).verify(run_id)
        return run_id
