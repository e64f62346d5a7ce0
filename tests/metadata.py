"""Reading what the metadata of a picture say."""

from __future__ import annotations

import json


def done(infotext: str) -> str:
    """What the extension did, in words."""
    value = infotext[infotext.index("InstantAS: ") + len("InstantAS: ") :]
    return str(json.JSONDecoder().raw_decode(value)[0].split(": ", 1)[1])
