"""One measured job as a task of Airflow: `python -m bench.child sync | stock-push | stock-pull | profile …`.

Airflow's LocalExecutor has imported Airflow when it forks a task, and has its garbage collector pass over all that; so does this.
What is measured begins with the fork.  The last line of the output is the result as JSON.
"""

# ruff: noqa: PLC0415  what a task imports is part of what is measured: each import stands where a task makes it

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.cpu import current_mb, peak_mb

__all__ = ["Job"]

Job = Callable[[list[str]], dict[str, Any]]


def main(words: list[str]) -> None:
    """Fork a task that runs the job, and say what it said, with its CPU, time and memory."""
    _import_airflow()
    before = {"airflow_mb": current_mb(), "airflow_cpu": time.process_time()}
    reader, writer = get_context("fork").Pipe(duplex=False)
    task = get_context("fork").Process(target=_task, args=(words, writer))
    gc.freeze()
    began = time.monotonic()
    task.start()
    writer.close()
    try:
        said = reader.recv()
    except EOFError:
        sys.exit(f"{words[0]} failed")
    task.join()
    wall, usage = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps(said | before | {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall}))


def _import_airflow() -> None:
    """What any task process of Airflow has loaded before it comes to the operator."""
    import airflow.sdk
    import airflow.sdk.execution_time.task_runner
    from airflow.sdk import DAG, BaseHook, BaseOperator

    del DAG, BaseHook, BaseOperator, airflow


def _task(words: list[str], writer: Connection) -> None:
    """Run one job."""
    if certificate := os.environ.get("REQUESTS_CA_BUNDLE"):
        # A session that heeds no environment (our log-in on loopback) looks here.
        import requests.adapters

        requests.adapters.DEFAULT_CA_BUNDLE_PATH = certificate
    name, *rest = words
    job: Job
    if name == "sync":
        from bench.ours import sync as job
    elif name == "reconcile":
        from bench.reconciling import reconcile as job
    elif name == "pages":
        from bench.paging import pages as job
    elif name == "profile":
        from bench.profiler import profile as job
    elif name == "stock-push":
        from bench.stock import push as job
    else:
        from bench.stock import pull as job
    said = job(rest)
    sys.stdout.flush()
    writer.send(said | {"peak_mb": peak_mb()})


if __name__ == "__main__":
    Path(os.environ["AIRFLOW_HOME"]).mkdir(parents=True, exist_ok=True)
    main(sys.argv[1:])
