"""The plugin crm_sync: the one file that Airflow's plugin loader executes (see .airflowignore)."""

from airflow.plugins_manager import AirflowPlugin

from crm_airflow.preload import preload
from crm_airflow.web.app import PREFIX, LazyApp

preload()


class CrmSyncPlugin(AirflowPlugin):
    """Our pages in Airflow's UI; and Airflow's long-lived processes are made ready to fork the tasks of the sync."""

    name = "crm_sync"
    fastapi_apps = [{"app": LazyApp(), "url_prefix": PREFIX, "name": "GPTWeb CRM Sync"}]  # noqa: RUF012  as Airflow has it
