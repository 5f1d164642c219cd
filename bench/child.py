"""One measured job in a process of its own: `python -m bench.child sync | stock-push | stock-pull | profile …`.

The last line of the output is the result as JSON.  Both sides import what an Airflow task of theirs imports, once.
"""

# ruff: noqa: PLC0415  imports are part of what is measured: each stands where a task makes it

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.cpu import peak_mb

__all__ = ["Job"]

Job = Callable[[list[str]], dict[str, Any]]


def main(words: list[str]) -> None:
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
    said |= {"peak_mb": peak_mb(), "cpu": time.process_time()}
    sys.stdout.flush()
    print(json.dumps(said))


if __name__ == "__main__":
    Path(os.environ["AIRFLOW_HOME"]).mkdir(parents=True, exist_ok=True)
    main(sys.argv[1:])
