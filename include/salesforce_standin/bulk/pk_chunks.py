"""PK chunking: a query job's first batch gives way to batches that each read a range of ids."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from salesforce_standin import ids
from salesforce_standin.bulk.jobs import Batch, Job
from salesforce_standin.bulk.shelf import CONTENT

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_USUAL, _MOST = 100_000, 250_000
_SETTING = re.compile(r"(\w+)\s*=\s*(\w+)")
# Behind every id that there can be.
_END = "~"


def asked(header: str) -> tuple[int, str]:
    """Return (records a chunk, first id) of the header Sforce-Enable-PKChunking; (0, "") without chunking."""
    text = header.strip()
    if not text or text.lower() == "false":
        return 0, ""
    settings = {name.lower(): value for name, value in _SETTING.findall(text)}
    size = int(settings.get("chunksize", _USUAL))
    return min(max(size, 1), _MOST), ids.normalise(settings.get("startrow", "")) or ""


def split(org: Org, job: Job, batch: Batch) -> None:
    """Put a batch per range of ids in line, deleted records counted."""
    found = sorted(id18 for id18 in org.tables[job.object].rows if id18 >= job.start_row)
    bounds = [job.start_row, *found[job.chunk :: job.chunk], _END]
    content = org.bulk.path(batch, CONTENT).read_bytes()
    for low, high in pairwise(bounds):
        part = org.bulk.add_batch(job, content)
        part.low, part.high = low, high
        org.bulk.keep(part)
        org.bulk.submit(part)
