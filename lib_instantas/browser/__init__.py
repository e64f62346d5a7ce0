"""What runs in the browser: region editor, viewer and the button that upscales, loaded when they are first used.

They are ES modules that import one another by relative addresses. The small script in `javascript/`, which the host
puts into every page, asks for `ROUTE/version` and then loads them from `ROUTE/<version>/<file>`: a browser may keep
what it has of one version, and never mixes it with another.

`vendored/` holds Konva 10.9.1 (MIT, https://konvajs.org) and Pannellum 2.5.7 (MIT, https://pannellum.org), both as in
their npm packages, unchanged.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

ROUTE = "/instantas/browser"
"""Where the files are served."""

MEDIA_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".css": "text/css"}
"""What the files are to a browser, by how their names end."""

VENDORED_SHA256 = {
    "konva.min.js": "acc5719ed72c2cab2858e200a61051e6930c635a29825c2ebe1852bad103d2cc",
    "pannellum.js": "51b8df674333612adbd807b6f47940d4d7aa07317d949d3f1314f84de965fc3c",
    "pannellum.css": "da0906e704524cca414ce6160c7be218048dcdd0c13fafa84184f6ea0b084785",
}
"""Of the libraries' files as they were published."""


def files() -> dict[str, Path]:
    """What is served, by its name below a version: `editor.mjs`, `vendored/konva.min.js`."""
    found = sorted(path for path in FOLDER.rglob("*") if path.suffix in MEDIA_TYPES)
    return {path.relative_to(FOLDER).as_posix(): path for path in found}


def version() -> str:
    """A short name for what all the files hold now."""
    digest = hashlib.sha256()
    for name, path in files().items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
