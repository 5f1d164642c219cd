"""Our pages in Airflow's UI, below /crm-sync: one FastAPI app, a router a subject, templates by Jinja2."""
