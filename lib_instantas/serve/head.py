"""What goes into the standalone page besides Gradio's own: the extension's script and CSS, as the WebUI does it."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles

from lib_instantas.browser.routes import add_browser_files

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "javascript"
STYLE = ROOT / "style.css"
OWN_STYLE = Path(__file__).with_name("page.css")

FROM_THE_NETWORK = re.compile(rb"<(?:link|script|meta)[^>]*(?:https?:)?//[^>]*>(?:\s*</script>)?")
"""Fonts, previews and an iframe helper that Gradio's page would load from other hosts."""


def head() -> bytes:
    """Script and style tags; a file's time of change keeps the browser from using an old one."""
    scripts = sorted(SCRIPTS.glob("*.js"))
    tags = [f'<script src="javascript/{html.escape(p.name)}?{p.stat().st_mtime_ns}"></script>' for p in scripts]
    tags += [f'<link rel="stylesheet" href="instantas.css?{STYLE.stat().st_mtime_ns}">']
    tags += [f'<link rel="stylesheet" href="instantas_page.css?{OWN_STYLE.stat().st_mtime_ns}">']
    return "\n".join(tags).encode()


def add_files(app: FastAPI) -> None:
    """Serve what `head` names, and what its script loads."""
    add_browser_files(app)
    app.mount("/javascript", StaticFiles(directory=SCRIPTS))
    app.get("/instantas.css")(lambda: FileResponse(STYLE))
    app.get("/instantas_page.css")(lambda: FileResponse(OWN_STYLE))


def complete(page: bytes) -> bytes:
    """Gradio's page with the extension's files, and without what it would load from the network."""
    return FROM_THE_NETWORK.sub(b"", page).replace(b"</head>", head() + b"</head>")


async def completed(request: Any, call_next: Any) -> Any:
    """Middleware that completes the page itself and leaves everything else as it is."""
    response = await call_next(request)
    if request.url.path != "/" or not response.headers.get("content-type", "").startswith("text/html"):
        return response
    body = b"".join([part async for part in response.body_iterator])
    return HTMLResponse(complete(body), status_code=response.status_code)
