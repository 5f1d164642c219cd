"""Our own stylesheet, script and icon: for whoever is signed in, and kept by the browser for as long as they stay the same."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from crm_airflow.web.guards import SIGNED_IN

__all__ = ["address", "router"]

FOLDER: Final = Path(__file__).parent / "static"
TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
router = APIRouter()


@router.get("/static/{name}", dependencies=SIGNED_IN, include_in_schema=False)
def file(name: str, v: str = "") -> Response:
    """One file; with the right version in its address it never changes."""
    found = _files().get(name)
    if found is None:
        raise HTTPException(404)
    content, version = found
    kept = "private, max-age=31536000, immutable" if v == version else "private, no-cache"
    headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=TYPES[Path(name).suffix], headers=headers)


def address(root: str, name: str) -> str:
    """The address of a file, with its version."""
    return f"{root}/static/{name}?v={_files()[name][1]}"


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """All there are: nothing else in the file system can be asked for."""
    contents = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES}
    return {name: (content, sha256(content).hexdigest()[:12]) for name, content in contents.items()}
