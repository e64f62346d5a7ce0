"""The viewer's files, served by the host itself: it works without a network, and behind any folder of the host's."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

from lib_instantas.viewer import FOLDER, MEDIA_TYPES, ROUTE


def add_viewer(_: Any, app: FastAPI) -> None:
    """Add `GET /instantas/viewer/NAME`. They are a public library's files, and as open as the page's own scripts."""
    app.add_api_route(ROUTE + "/{name}", viewer_file, methods=["GET"], include_in_schema=False)


def viewer_file(name: str) -> FileResponse:
    """One of the viewer's files; status 404 for any other."""
    if name not in MEDIA_TYPES:
        raise HTTPException(404, "no such file of the viewer")
    return FileResponse(FOLDER / name, media_type=MEDIA_TYPES[name])
