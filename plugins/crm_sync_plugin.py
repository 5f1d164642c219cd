"""The plugin crm_sync: the one file that Airflow's plugin loader executes (see .airflowignore)."""

from airflow.plugins_manager import AirflowPlugin

from crm_airflow.preload import preload
from crm_airflow.web import PREFIX
from crm_airflow.web.app import LazyApp

preload()


class CrmSyncPlugin(AirflowPlugin):
    """Our pages in Airflow's UI; and Airflow's long-lived processes are made ready to fork the tasks of the sync."""

    name = "crm_sync"
    fastapi_apps = [{"app": LazyApp(), "url_prefix": PREFIX, "name": "GPTWeb CRM Sync"}]  # noqa: RUF012  as Airflow has it
    # A tab whose script opens our page in the whole window; why no external_view: docs/adr/0013.
    react_apps = [  # noqa: RUF012  as above
        {
            "name": "CRM Sync",
            "bundle_url": f"{PREFIX[1:]}/static/tab.js",
            "icon": f"{PREFIX[1:]}/static/icon.svg",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": PREFIX[1:],
        }
    ]
