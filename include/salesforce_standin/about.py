"""What the API says about itself: versions, the list of resources, limits and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import rights
from salesforce_standin.config import LATEST, OLDEST
from salesforce_standin.errors import fail
from salesforce_standin.http_call import Call, Reply

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_SEASONS = ("Spring", "Summer", "Winter")
_RESOURCES = (
    "tooling", "limits", "query", "queryAll", "composite", "sobjects", "identity", "jobs",
    "recent", "search", "parameterizedSearch", "compactLayouts", "process", "quickActions", "tabs", "theme",
)  # fmt: skip
# Names from REST:list-org-limits; figures of a Developer Edition, where no app is installed that uses them.
_LIMITS = {
    "ActiveScratchOrgs": 3,
    "AnalyticsExternalDataSizeMB": 40_960,
    "ConcurrentAsyncGetReportInstances": 200,
    "ConcurrentSyncReportRuns": 20,
    "DailyAsyncApexExecutions": 250_000,
    "DailyAsyncApexTests": 500,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyBulkV2QueryJobs": 10_000,
    "DailyDeliveredPlatformEvents": 10_000,
    "DailyDurableGenericStreamingApiEvents": 10_000,
    "DailyDurableStreamingApiEvents": 10_000,
    "DailyGenericStreamingApiEvents": 10_000,
    "DailyScratchOrgs": 6,
    "DailyStandardVolumePlatformEvents": 10_000,
    "DailyStreamingApiEvents": 10_000,
    "DailyWorkflowEmails": 1_005,
    "DataStorageMB": 5,
    "DurableStreamingApiConcurrentClients": 20,
    "FileStorageMB": 20,
    "HourlyAsyncReportRuns": 1_200,
    "HourlyDashboardRefreshes": 200,
    "HourlyDashboardResults": 5_000,
    "HourlyDashboardStatuses": 999_999_999,
    "HourlyLongTermIdMapping": 100_000,
    "HourlyManagedContentPublicRequests": 50_000,
    "HourlyODataCallout": 1_000,
    "HourlyPublishedPlatformEvents": 50_000,
    "HourlyPublishedStandardVolumePlatformEvents": 1_000,
    "HourlyShortTermIdMapping": 100_000,
    "HourlySyncReportRuns": 500,
    "HourlyTimeBasedWorkflow": 50,
    "MassEmail": 10,
    "PermissionSets": 1_500,
    "SingleEmail": 15,
    "StreamingApiConcurrentClients": 20,
}


def label(version: int) -> str:
    """Return the name of a release: v66 is Spring '26, three releases a year."""
    steps = version - LATEST
    season = _SEASONS[steps % 3]
    year = 26 + steps // 3 + (season == "Winter")
    return f"{season} '{year:02d}"


def versions() -> list[dict[str, str]]:
    """List the versions that are served."""
    return [
        {"label": label(number), "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
        for number in range(OLDEST, LATEST + 1)
    ]


def resources(org: Org, call: Call) -> Reply:
    """List the resources of a version."""
    identity = f"{call.base}/id/{org.settings.org_id}/{call.user_id}"
    listed = {name: f"{call.root}/{name}" for name in _RESOURCES if name != "identity"}
    return Reply(body=dict(sorted({**listed, "identity": identity}.items())))


def limits(org: Org, call: Call) -> Reply:
    """Show what is left of the org's allowances."""
    rights.require(org, call.user_id, "ViewSetup")
    figures: dict[str, Any] = {name: {"Max": most, "Remaining": most} for name, most in _LIMITS.items()}
    figures["DailyApiRequests"] = _left(org.meter.allowance, org.meter.used())
    batches, queries = org.bulk.used()
    figures["DailyBulkApiBatches"] = _left(org.policy.bulk_batches, batches)
    figures["DailyBulkV2QueryJobs"] = _left(_LIMITS["DailyBulkV2QueryJobs"], queries)
    return Reply(body=dict(sorted(figures.items())))


def _left(most: int, used: int) -> dict[str, int]:
    return {"Max": most, "Remaining": max(most - used, 0)}


def record_count(org: Org, call: Call) -> Reply:
    """Count records; objects without any are left out."""
    wanted = call.query.get("sObjects")
    names = [part.strip() for part in wanted.split(",")] if wanted else sorted(org.objects)
    counts = []
    for name in names:
        if name not in org.objects:
            raise fail(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
        if count := sum(1 for _ in org.tables[name].live()):
            counts.append({"count": count, "name": name})
    return Reply(body={"sObjects": counts})
