"""The engine: open_run, pull, plan, push_ours, push_theirs, settle.

Each stage reads and writes only the ledger under its run id, so any of them can be cleared and run again alone, after
any other run.  The plan works on state (base, seen, ours), not on what a run happened to pull (algorithm.md 0).
"""

from crm_sync.engine.context import Engine, RunOptions, StoreFactory
from crm_sync.engine.reports import PlanReport, PullReport, PushReport, RunReport

__all__ = ["Engine", "PlanReport", "PullReport", "PushReport", "RunOptions", "RunReport", "StoreFactory"]
