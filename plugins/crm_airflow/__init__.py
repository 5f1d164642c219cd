"""Airflow's side of the sync: hooks, operators, the retry policy and the window of a run."""
