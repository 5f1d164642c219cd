"""What the demo says at its end: how to open Airflow, and what to try next."""

from __future__ import annotations

from rich.console import Console

from stack.airflow import USER
from stack.lifecycle import Stack
from stack.settings import CONNECTION

TEXT = """\
[bold]Airflow[/]   {url}    user [bold]{user}[/], password [bold]{password}[/]
          DAGs: crm_sync__{connection} (every 5 minutes), crm_provision__{connection}

[bold]Change a record in GPTWeb and watch it arrive in the CRM[/]
  .venv/bin/python -m stack psql -c "update gptweb.contacts set title = 'Changed here'
    where id = (select our_id from crm_sync.audit_trail where object = 'contact' and side = 'theirs'
                and field = 'title' and outcome = 'acknowledged' limit 1) returning id, email"
  then trigger crm_sync__{connection} in the UI (or wait for its next run), and ask the CRM:
  . .local/env; curl -sG -H "Authorization: Bearer $SALESFORCE_STANDIN_TOKEN" \\
    "$SALESFORCE_STANDIN_URL/services/data/v60.0/query" \\
    --data-urlencode "q=SELECT Id, Email, Title FROM Contact WHERE Title = 'Changed here'"

[bold]The other way[/] (put an Id of that reply in place of <Id>)
  curl -sX PATCH -H "Authorization: Bearer $SALESFORCE_STANDIN_TOKEN" -H "Content-Type: application/json" \\
    "$SALESFORCE_STANDIN_URL/services/data/v60.0/sobjects/Contact/<Id>" -d '{{"Title": "Changed there"}}'
  .venv/bin/python -m stack psql -c "select id, email, title from gptweb.contacts where title = 'Changed there'"

[bold]What happened, line by line[/]
  .venv/bin/python -m stack psql -c "select at, object, side, field, before, after, rule, outcome
    from crm_sync.audit_trail order by at desc limit 20"

`make down` stops everything, `make up` starts it again with the same data, `make demo` begins anew."""


def show_next_steps(console: Console, stack: Stack) -> None:
    """The last words; no frame around them, because people copy from them."""
    settings = stack.settings
    text = TEXT.format(
        url=settings.airflow_url, user=USER, password=settings.secrets.airflow_password, connection=CONNECTION
    )
    console.rule("The stack is still up: what to try next", align="left")
    console.print(text, soft_wrap=True)
