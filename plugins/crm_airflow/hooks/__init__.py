"""Hooks: where Airflow's connections meet the product."""
