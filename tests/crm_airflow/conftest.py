"""Airflow's environment, set while this folder is collected, before any of its modules imports Airflow."""

from __future__ import annotations

from tests.crm_airflow.airflow_env import airflow_home

airflow_home()
