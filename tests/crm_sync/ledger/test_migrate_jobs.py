"""A bulk job may be under way while the schema is migrated: revision 0030 takes over what it has in hand."""

from __future__ import annotations

import psycopg

from crm_sync.ledger.migrate import migrate
from tests.crm_sync.ledger.test_months import add_run, database_at

IN_HAND, CALLED = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"


def test_what_a_job_has_in_hand_is_taken_over(postgres_server: str) -> None:
    with database_at(postgres_server, "0029") as address:
        with psycopg.connect(address, autocommit=True) as client:
            add_run(client)
            for intent_id in (IN_HAND, CALLED):
                client.execute(
                    "insert into crm_sync.intent (intent_id, change_id, run_id, link_id, creates, values, times, expected, "
                    "sent_at, claim_until, expires_at) values (%s, 1, 1, 1, true, '{}', '{}', '{}', now(), now(), now())",
                    (intent_id,),
                )
            client.execute(
                "insert into crm_sync.job_row (intent_id, job_id, our_version, seen_recv, parent, waits) "
                "values (%s, 7, 3, 5, '001', false)",
                (IN_HAND,),
            )
        migrate(address)
        with psycopg.connect(address, autocommit=True) as client:
            kept = "select intent_id::text, job_id, our_version, seen_recv, parent, waits from crm_sync.intent order by 1"
            assert client.execute(kept.encode()).fetchall() == [
                (IN_HAND, 7, 3, 5, "001", False),
                (CALLED, None, None, None, None, None),
            ]
            gone = client.execute("select to_regclass('crm_sync.job_row')").fetchone()
            assert gone == (None,)
            source = client.execute("select prosrc from pg_proc where proname = 'erase_person'").fetchone()
            assert source is not None
            assert "job_row" not in source[0]
            assert "delete from crm_sync.intent" in source[0]
