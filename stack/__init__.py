"""The stack on one machine for developers and the demo: Postgres, the Salesforce stand-in and Airflow.

Nothing of the product imports it.  Everything it writes is in the checkout, under ``.local``.
"""
