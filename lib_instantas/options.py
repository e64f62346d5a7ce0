"""What every setting has in common: how it is declared, checked and described."""

from __future__ import annotations

from typing import Any

from lib_instantas.texts import messages
from lib_instantas.texts.message import Message

try:
    # The first pydantic API, which both the WebUI's pydantic 1.10 and pydantic 2 provide.
    from pydantic.v1 import BaseModel, Extra, Field, ValidationError, validator
    from pydantic.v1.error_wrappers import ErrorWrapper
    from pydantic.v1.fields import ModelField
except ImportError:
    from pydantic import BaseModel, Extra, Field, ValidationError, validator  # type: ignore[assignment,no-redef]
    from pydantic.error_wrappers import ErrorWrapper  # type: ignore[assignment,no-redef]
    from pydantic.fields import ModelField  # type: ignore[attr-defined,no-redef]

__all__ = [
    "BaseModel",
    "ErrorWrapper",
    "Field",
    "ModelField",
    "Options",
    "ValidationError",
    "allowed_by",
    "kind",
    "validator",
]


class Options(BaseModel):
    """Some settings that belong together. Nothing is accepted that is not declared, and nothing changes later.

    A field is declared with its label and help; with limits (`ge`, `le`, `step`) or `choices`, or in words what is
    `allowed`. `idle_beside` says of all settings which of them makes this one do nothing ("schedule golden"), if any.
    `needs` is what a host must be able to do for it (a Capability), unless its value is one of `free` (its default, if
    not said).
    """

    class Config:
        """Of pydantic."""

        extra = Extra.forbid
        allow_mutation = False

    @validator("*", pre=True)
    def _no_loose_types(cls, value: Any, field: ModelField) -> Any:  # noqa: N805 (pydantic hands over the class)
        """A number is not a switch, a fraction not a count: say so instead of converting it."""
        wanted = kind(field)
        if wanted is int and isinstance(value, float) and value.is_integer():
            return int(value)
        accepted = (int, float) if wanted is float else (wanted,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and wanted is not bool):
            raise ValueError(f"not a {wanted.__name__}")
        return value

    @validator("*")
    def _one_of_the_choices(cls, value: Any, field: ModelField) -> Any:  # noqa: N805
        choices = field.field_info.extra.get("choices")
        if choices and value not in choices:
            raise ValueError("not one of the choices")
        return value


def kind(field: ModelField) -> type:
    """bool, int, float or str: what a setting is, whatever limits it has."""
    return type(field.default)


def allowed_by(field: ModelField) -> str:
    """What a setting accepts, as a message."""
    info, extra = field.field_info, field.field_info.extra
    if "allowed" in extra:
        return Message(extra["allowed"])
    if "choices" in extra:
        return messages.ONE_OF(choices=", ".join(extra["choices"]))
    if kind(field) is bool:
        return messages.SWITCH()
    between = messages.WHOLE_NUMBER if kind(field) is int else messages.NUMBER
    return between(low=f"{info.ge:g}", high=f"{info.le:g}")
