"""The plugin crm_sync: the one file that Airflow's plugin loader executes (see .airflowignore)."""

from airflow.plugins_manager import AirflowPlugin

from crm_airflow.preload import preload

preload()


class CrmSyncPlugin(AirflowPlugin):
    """Makes Airflow's long-lived processes ready to fork the tasks of the sync."""

    name = "crm_sync"
