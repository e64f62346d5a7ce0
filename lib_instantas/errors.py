"""What is raised when somebody asks for something that cannot be done."""

from __future__ import annotations


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it, its value and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(f"InstantAS: {message}")
