"""Provisioning: wanted schema ─► diff ─► plan ─► check ─► apply ─► verify, the sync's own idea over fields.

For whoever builds an operator, the three stages (each may be repeated alone, at any time)::

    provisioning = Provisioning("salesforce_main", org, load_mappings("salesforce"), ledger)
    run_id, report = provisioning.plan(dag_run_id, dry_run=False)  # reads only; opens the run
    report = provisioning.apply(run_id)    # plans afresh, changes the org; nothing to do = nothing done
    report = provisioning.verify(run_id)   # looks as the integration user, closes the run, marks the connection

``org`` is ``crm_sync.stores.salesforce_schema.SalesforceSchema(transport)``.  Only the run id travels between tasks;
after a dry run, apply and verify return an empty report and touch nothing, so the chain needs no branch.
``report.lines()`` is the table for the task log (also when raised: the error's message is complete by itself),
``report.counts`` the numbers, ``report.pending`` whether the plan leaves anything to do.

Misconfigured: a person has to act, a repetition is useless; the run is closed.  RetryLater, Unanswered and the like:
repeat the same stage; the run stays open.  When there will be no more tries, ``give_up(dag_run_id, error)`` closes it.
"""
