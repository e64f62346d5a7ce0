"""What is raised when somebody asks for something that cannot be done."""

from __future__ import annotations

from lib_instantas.texts.message import Message
from lib_instantas.texts.messages import SAID_BY


class RefusalError(ValueError):
    """Something that cannot be done; `message` says why, to the user who asked, and what can be done."""

    def __init__(self, message: str) -> None:
        super().__init__(SAID_BY(message=message))
        self.message = message


class SettingsError(RefusalError):
    """A setting that cannot be used; the message names it, its value and what is allowed."""


def told(error: Exception) -> str:
    """What an error says; a message, where it can be said in another language."""
    message = error.args[0] if error.args else None
    return message if isinstance(message, Message) else str(error)
