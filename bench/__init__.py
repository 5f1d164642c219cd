"""The measurements of `make bench`: calls, CPU and memory of the sync, beside Airflow's stock operators."""
