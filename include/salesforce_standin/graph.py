"""Composite graph: several composites in one call, each of them all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin.composite import run, subrequests
from salesforce_standin.errors import fail
from salesforce_standin.http_call import Call, Reply

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_MOST_GRAPHS = 75
_MOST_NODES = 500


def graph(org: Org, call: Call) -> Reply:
    """Run the graphs one after the other."""
    graphs = call.document().get("graphs")
    if not isinstance(graphs, list) or not graphs or not all(isinstance(one, dict) for one in graphs):
        raise fail(400, "JSON_PARSER_ERROR", "The graphs property must be a list at [line:1, column:2]")
    nodes = [subrequests(one.get("compositeRequest")) for one in graphs]
    if len(graphs) > _MOST_GRAPHS or sum(len(node) for node in nodes) > _MOST_NODES:
        raise fail(
            400, "LIMIT_EXCEEDED", f"A request has at most {_MOST_GRAPHS} graphs and {_MOST_NODES} nodes"
        )
    answers: list[dict[str, Any]] = []
    for one, requests in zip(graphs, nodes, strict=True):
        responses, good = run(org, call, requests, all_or_none=True, shuffle=True)
        answers.append(
            {
                "graphId": one.get("graphId"),
                "graphResponse": {"compositeResponse": responses},
                "isSuccessful": good,
            }
        )
    return Reply(body={"graphs": answers})
