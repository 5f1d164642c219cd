"""The stack on one machine for developers and the demo: Postgres, the Salesforce stand-in and Airflow.

Nothing of the product imports it.  Everything it writes is in the checkout, under ``.local``.
"""

import sys
from pathlib import Path

# The Makefile sets the path; who types `.venv/bin/python -m stack psql …`, as the demo says, does not.
sys.path.append(str(Path(__file__).resolve().parent.parent / "include"))
