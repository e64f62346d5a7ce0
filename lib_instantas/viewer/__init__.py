"""What the page's viewer of 360° pictures is made of besides its own script, loaded when it is first opened.

Pannellum 2.5.7 (MIT, https://pannellum.org): both its files are those of its npm package, unchanged.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent

ROUTE = "/instantas/viewer"
"""Where the files are served."""

MEDIA_TYPES = {"pannellum.js": "text/javascript", "pannellum.css": "text/css"}
"""The files, and what they are to a browser."""

SHA256 = {
    "pannellum.js": "51b8df674333612adbd807b6f47940d4d7aa07317d949d3f1314f84de965fc3c",
    "pannellum.css": "da0906e704524cca414ce6160c7be218048dcdd0c13fafa84184f6ea0b084785",
}
"""Of the files as they were published."""
