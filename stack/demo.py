"""`make demo`: example data with real conflicts, provisioned and synced by a real Airflow, and a report of it.

Acts: provisioning, first sync, a day of edits on both sides, second sync, a sync with nothing to do.  With ONCE=1
the exit status says whether both sides agree and the last sync was silent, and the stack is stopped.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import datetime

import psycopg
import requests
from rich.console import Console

from stack import env, report
from stack.airflow_api import AirflowApi, Task
from stack.compare import Judge
from stack.demo_text import show_next_steps
from stack.edits import People
from stack.errors import StackError
from stack.lifecycle import Stack
from stack.org_api import OrgApi
from stack.report import Act, Ledger
from stack.sample import Maker
from stack.seed import seed
from stack.settings import CONNECTION, Org

PROVISION, SYNC = f"crm_provision__{CONNECTION}", f"crm_sync__{CONNECTION}"
TRIES = 2  # further syncs until both sides agree: promise 1 of the design


def run(stack: Stack, *, once: bool) -> int:
    """The whole demo; the exit status."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
    stack.say = lambda line: console.print(f"  [dim]{line}[/]")
    began = time.monotonic()
    console.rule("GPTWeb CRM Sync: demo", align="left")
    _start_afresh(stack)
    try:
        faults = Demo(stack, console).play()
    except requests.RequestException as error:
        raise StackError(
            f"A server of the stack stopped answering ({error}): see {stack.settings.local / 'log'}."
        ) from error
    finally:
        if once:
            stack.down()
    for fault in faults:
        console.print(f"[bold red]✗[/] {fault}")
    if not faults:
        console.print(
            "[bold green]✓[/] Both sides agree on every mapped field, and with nothing to do nothing was done."
        )
    console.print(f"  {time.monotonic() - began:.0f} s in all.\n")
    if not once:
        show_next_steps(console, stack)
    return 1 if faults else 0


def _start_afresh(stack: Stack) -> None:
    """The demo's data replaces that of an earlier demo, and never anybody else's."""
    if Org.from_environment(os.environ):
        raise StackError(
            "The demo writes invented records, so it uses the stand-in only: unset SALESFORCE_URL. `make up` uses your org."
        )
    played = stack.settings.local / "demo"
    if stack.settings.postgres_data.exists() and not played.exists():
        stack.up()
        url = env.read(stack.env_file)["CRM_SYNC_DATABASE_URL"]
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "SELECT EXISTS (SELECT FROM gptweb.accounts) OR EXISTS (SELECT FROM gptweb.contacts) "
                "OR EXISTS (SELECT FROM gptweb.leads)"
            ).fetchone()
        if row and row[0]:
            raise StackError(
                "This stack holds records that no demo made. `make clean` removes them; then `make demo`."
            )
    elif played.exists():
        stack.down()
        for folder in (
            stack.settings.postgres_data,
            stack.settings.standin_data,
            stack.settings.airflow_home,
        ):
            shutil.rmtree(folder, ignore_errors=True)
        stack.say("Removed the data of the last demo.")
    stack.up()
    played.touch()


Counts = tuple[dict[str, int], dict[str, int]]  # ours and theirs, by object


class Demo:
    """The acts, one after the other."""

    def __init__(self, stack: Stack, console: Console) -> None:
        values = env.read(stack.env_file)
        self._console = console
        self._database = values["CRM_SYNC_DATABASE_URL"]
        self._airflow = AirflowApi(values["AIRFLOW_URL"], values["AIRFLOW_USER"], values["AIRFLOW_PASSWORD"])
        self._org = OrgApi(values["SALESFORCE_STANDIN_URL"], values["SALESFORCE_STANDIN_TOKEN"])
        self._judge = Judge(self._database, self._org)
        self._ledger = Ledger(self._database)

    def play(self) -> list[str]:
        """All acts and the report; the list of what is wrong, empty if all is well."""
        with self._console.status("Writing the example data …"):
            seed(Maker().sample(), self._database, self._org)
        seeded, since = self._judge.counts(), self._ledger.now()
        self._say(f"Example data: {_list(seeded[0])} in GPTWeb; {_list(seeded[1])} in the CRM")
        provisioning = self._act("Provisioning", PROVISION, "provision")
        self._say("The connection is provisioned: the sync begins by itself.")
        acts = [self._first_sync(seeded, since)]
        self._org.see_gptweb_fields()
        self._say("[bold]People edit[/]")
        since = self._ledger.now()
        for what, count in People(self._database, self._org).work().items():
            self._say(f"{count:4} {what}")
        acts.append(self._sync("Second sync", since))
        differences = self._judge.differences()
        for _ in range(TRIES):
            if not differences:
                break
            acts.append(self._sync("Settling"))
            differences = self._judge.differences()
        before = self._judge.versions()
        idle = self._act("Idle sync", SYNC, "sync")
        written = self._judge.versions().written_since(before)
        self._report(provisioning, acts, idle)
        if differences:
            report.show_differences(self._console, differences)
        return _faults(len(differences), idle, written)

    def _report(self, provisioning: Act, acts: list[Act], idle: Act) -> None:
        self._console.print()
        played = [provisioning, *acts, idle]
        for act in played:
            report.show_act(self._console, act, self._ledger.updated(act))
        report.show_budget(self._console, played)
        report.show_conflicts(self._console, self._ledger.lines(acts, "overruled", "restored"))
        report.show_parked(self._console, self._ledger.lines(acts, "parked"))

    def _first_sync(self, seeded: Counts, since: datetime) -> Act:
        """The run that the schedule starts as soon as the connection is provisioned, or one of ours."""
        self._airflow.wait_for_dag(SYNC)
        run_id = self._airflow.first_run(SYNC) or self._airflow.trigger(SYNC)
        act = Act("First sync", "sync", since)
        self._await(act, SYNC, run_id)
        self._count_created(act, seeded)
        return act

    def _sync(self, title: str, since: datetime | None = None) -> Act:
        """A sync, with what it created by counting both sides."""
        before = self._judge.counts()
        act = self._act(title, SYNC, "sync", since)
        self._count_created(act, before)
        return act

    def _act(self, title: str, dag: str, kind: str, since: datetime | None = None) -> Act:
        """Trigger a run and wait for its end."""
        self._airflow.wait_for_dag(dag)
        act = Act(title, kind, since or self._ledger.now())
        self._await(act, dag, self._airflow.trigger(dag))
        return act

    def _await(self, act: Act, dag: str, run_id: str) -> None:
        """Show the run's tasks until it ends, then wait for any other run beside it."""
        began = time.monotonic()
        if self._follow(act.title, dag, run_id) != "success":
            raise StackError(self._why(dag, run_id))
        act.seconds = time.monotonic() - began
        while self._airflow.others_at_work(dag):
            time.sleep(0.3)
        act.runs = self._ledger.runs(act.kind, act.began)

    def _count_created(self, act: Act, before: Counts) -> None:
        after = self._judge.counts()
        act.created_ours, act.created_theirs = (
            {name: end[name] - start[name] for name in start}
            for start, end in zip(before, after, strict=True)
        )

    def _follow(self, title: str, dag: str, run_id: str) -> str:
        shown: set[str] = set()
        state = "queued"
        self._say(f"[bold]{title}[/]")
        with self._console.status(f"{title} …") as status:
            for state, tasks in self._airflow.follow(dag, run_id):
                _progress(tasks, shown, self._say)
                at_work = [task.name for task in tasks if task.state in {"running", "queued", "scheduled"}]
                status.update(f"{title}: {', '.join(at_work) or state} …")
        return state

    def _why(self, dag: str, run_id: str) -> str:
        """The last words of the task that failed."""
        *_, (_, tasks) = self._airflow.follow(dag, run_id)
        failed = next((task.name for task in tasks if task.state == "failed"), None)
        where = self._airflow.address_of(dag, run_id)
        log = self._airflow.log_of(dag, run_id, failed) if failed else ""
        return f"{dag} failed in task {failed}; {where}\n{log}"

    def _say(self, line: str) -> None:
        self._console.print(f"  {line}")


def _progress(tasks: list[Task], shown: set[str], say: Callable[[str], None]) -> None:
    """One line for each task as it ends; a skipped one did nothing that anybody waits for."""
    marks = {"success": "[green]✓[/]", "failed": "[red]✗[/]", "upstream_failed": "–"}
    for task in tasks:
        if task.state in marks and task.name not in shown:
            shown.add(task.name)
            say(f"{marks[task.state]} {task.name} [dim]{task.seconds:.1f} s[/]")


def _faults(differences: int, idle: Act, written: tuple[int, int]) -> list[str]:
    """What the demo promises and did not keep."""
    runs = len(idle.runs)
    checks = {
        f"The sides differ in {differences} places.": differences,
        "The idle sync is not in crm_sync.run_summary.": not runs,
        f"The idle sync planned {idle.total('planned')} changes, not 0.": idle.total("planned"),
        f"The idle sync wrote {written[0]} records in GPTWeb and {written[1]} in the CRM, not 0.": any(
            written
        ),
        f"The idle sync cost {idle.total('api_calls')} API calls in {runs} runs, not 1 each.": idle.total(
            "api_calls"
        )
        != runs,
    }
    return [text for text, wrong in checks.items() if wrong]


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}s" for name, count in counts.items())
