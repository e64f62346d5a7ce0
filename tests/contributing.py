"""The examples of CONTRIBUTING.md, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


def section(title: str) -> str:
    (text,) = re.findall(
        rf"^## {title}\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return text


def example(title: str) -> str:
    """The code of the section with this title."""
    (code,) = re.findall(r"```python\n(.*?)```", section(title), re.DOTALL)
    return code
