"""The browser's files, served by the page's own server: without a network, and behind any folder of a proxy's.

They are as open as the page's own scripts, and of the same kind.
"""

from __future__ import annotations

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, PlainTextResponse

from lib_instantas.browser import MEDIA_TYPES, ROUTE, files, version

FOR_GOOD = {"Cache-Control": "public, max-age=31536000, immutable"}
NOT_KEPT = {"Cache-Control": "no-store"}


def add_browser_files(app: FastAPI) -> None:
    """Add `GET /instantas/browser/version` and `GET /instantas/browser/<version>/<file>`."""
    app.add_api_route(f"{ROUTE}/version", served_version, methods=["GET"], include_in_schema=False)
    app.add_api_route(ROUTE + "/{of}/{name:path}", served_file, methods=["GET"], include_in_schema=False)


def served_version() -> PlainTextResponse:
    """The version that there is, asked for anew each time."""
    return PlainTextResponse(version(), headers=NOT_KEPT)


def served_file(of: str, name: str) -> FileResponse:
    """A file of the version `of`; status 404 for any other version or file."""
    path = files().get(name)
    if path is None or of != version():
        raise HTTPException(404, "no such file, or of another version: reload the page")
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=FOR_GOOD)
