"""Every resource under /services/data/vXX.0, in one table."""

from __future__ import annotations

from salesforce_standin import (
    about,
    appearance,
    batch,
    compact_layouts,
    composite,
    describe,
    graph,
    layout_describe,
    list_views,
    query,
    relationships,
    replication,
    rows,
    search,
    sobject_collections,
    tooling,
    tooling_setup,
    tree,
    user_passwords,
)
from salesforce_standin.bulk import ingest, query_jobs
from salesforce_standin.router import Router


def register(router: Router) -> None:
    """Fill the router; the first pattern that fits wins."""
    _looks(router)
    router.add(r"", GET=about.resources)
    router.add(r"/search", GET=search.search)
    router.add(r"/parameterizedSearch", GET=search.parameterized, POST=search.parameterized)
    router.add(r"/recent", GET=describe.recent)
    router.add(r"/limits", GET=about.limits)
    router.add(r"/limits/recordCount", GET=about.record_count)
    for prefix in ("", "/tooling"):
        router.add(prefix + r"/query", GET=query.query)
        router.add(prefix + r"/queryAll", GET=query.query_all)
        router.add(prefix + r"/query(?:All)?/([0-9A-Za-z]{18})-(\d+)", GET=query.more)
        router.add(prefix + r"/query(?:All)?/{part}", GET=query.no_locator)
        router.add(prefix + r"/sobjects", GET=describe.describe_all)
        router.add(prefix + r"/sobjects/{name}/describe", GET=describe.describe_one)
        router.add(prefix + r"/composite", GET=composite.resources, POST=composite.composite)
    router.add(r"/tooling", GET=tooling.resources)
    router.add(r"/tooling/sobjects/CustomField", POST=tooling.create)
    router.add(r"/tooling/sobjects/CustomField/{part}", PATCH=tooling.change, DELETE=tooling.remove)
    router.add(r"/tooling/sobjects/ValidationRule", POST=tooling_setup.create_rule)
    router.add(r"/tooling/sobjects/ValidationRule/{part}", DELETE=tooling_setup.remove_rule)
    router.add(r"/tooling/sobjects/(CustomField|Layout|ValidationRule)/{part}", GET=tooling.show)
    router.add(r"/tooling/sobjects/Profile/{part}", GET=tooling_setup.show_profile)
    router.add(r"/tooling/sobjects/{name}", GET=describe.basic)
    router.add(r"/jobs/ingest", GET=ingest.list_jobs, POST=ingest.create)
    router.add(r"/jobs/ingest/{part}", GET=ingest.show, PATCH=ingest.change, DELETE=ingest.remove)
    router.add(r"/jobs/ingest/{part}/batches", PUT=ingest.upload)
    router.add(r"/jobs/ingest/{part}/successfulResults", GET=ingest.successful)
    router.add(r"/jobs/ingest/{part}/failedResults", GET=ingest.failed)
    router.add(r"/jobs/ingest/{part}/unprocessed[rR]ecords", GET=ingest.unprocessed)
    router.add(r"/jobs/query", GET=query_jobs.list_jobs, POST=query_jobs.create)
    router.add(r"/jobs/query/{part}", GET=query_jobs.show, PATCH=query_jobs.change, DELETE=query_jobs.remove)
    router.add(r"/jobs/query/{part}/results", GET=query_jobs.results)
    router.add(r"/jobs/query/{part}/resultPages", GET=query_jobs.result_pages)
    router.add(r"/composite/batch", POST=batch.batch)
    router.add(r"/composite/graph", POST=graph.graph)
    router.add(r"/composite/tree/{name}", POST=tree.tree)
    router.add(
        r"/composite/sobjects",
        POST=sobject_collections.create,
        PATCH=sobject_collections.update,
        DELETE=sobject_collections.delete,
    )
    router.add(
        r"/composite/sobjects/{name}", GET=sobject_collections.retrieve, POST=sobject_collections.retrieve
    )
    router.add(r"/composite/sobjects/{name}/{name}", PATCH=sobject_collections.upsert)
    router.add(r"/sobjects/{name}", GET=describe.basic, POST=rows.create)
    router.add(r"/sobjects/{name}/describe/layouts(?:/{part})?", GET=layout_describe.describe)
    router.add(r"/sobjects/{name}/updated", GET=replication.updated)
    router.add(r"/sobjects/{name}/deleted", GET=replication.deleted)
    router.add(r"/sobjects/{name}/Id", POST=rows.create)
    router.add(
        r"/sobjects/User/{part}/password",
        GET=user_passwords.show,
        POST=user_passwords.change,
        DELETE=user_passwords.reset,
    )
    router.add(
        r"/sobjects/{name}/([0-9][0-9A-Za-z]{14}(?:[0-9A-Za-z]{3})?)/(.+)",
        GET=relationships.get,
        PATCH=relationships.update,
        DELETE=relationships.delete,
    )
    router.add(r"/sobjects/{name}/{part}", GET=rows.get, PATCH=rows.update, DELETE=rows.delete)
    router.add(
        r"/sobjects/{name}/{name}/(.+)", GET=rows.get_by_key, PATCH=rows.upsert, DELETE=rows.delete_by_key
    )


def _looks(router: Router) -> None:
    """Serve what the org looks like to people."""
    router.add(r"/tabs", GET=appearance.tabs)
    router.add(r"/theme", GET=appearance.theme)
    router.add(r"/quickActions", GET=appearance.quick_actions)
    router.add(r"/process/rules", GET=appearance.process_rules)
    router.add(r"/process/approvals", GET=appearance.process_approvals)
    router.add(r"/compactLayouts", GET=compact_layouts.of_several)
    router.add(r"/sobjects/{name}/describe/compactLayouts", GET=compact_layouts.describe)
    router.add(r"/sobjects/{name}/describe/compactLayouts/{part}", GET=compact_layouts.primary)
    router.add(r"/sobjects/{name}/describe/approvalLayouts", GET=appearance.approval_layouts)
    router.add(r"/sobjects/{name}/quickActions", GET=appearance.quick_actions_of)
    router.add(r"/sobjects/{name}/listviews(?:/recent)?", GET=list_views.listing)
    router.add(r"/sobjects/{name}/listviews/{part}", GET=list_views.show)
    router.add(r"/sobjects/{name}/listviews/{part}/describe", GET=list_views.describe)
    router.add(r"/sobjects/{name}/listviews/{part}/results", GET=list_views.results)
