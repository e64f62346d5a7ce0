"""Routes of our own, behind the same credentials as the host's API."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from modules import shared

from lib_instantas.agreement import Offer, choices_of, help_of, readers
from lib_instantas.hosts.a1111.offers import offer_of_host
from lib_instantas.hosts.a1111.own_presets import preset_names
from lib_instantas.presets import KEY
from lib_instantas.settings import Settings


def add_routes(_: Any, app: FastAPI) -> None:
    """Add `GET /instantas/schema`: the JSON schema of the object that `alwayson_scripts` takes."""
    app.add_api_route("/instantas/schema", schema, methods=["GET"], dependencies=[Depends(credentials_check(app))])


def schema() -> dict[str, Any]:
    """The JSON schema of the settings object."""
    described = Settings.schema()
    offer = offer_of_host()
    properties = {name: _described(name, setting, offer) for name, setting in described["properties"].items()}
    about = "Sets every setting that makes a kind of picture; settings named beside it go before it."
    preset = {"type": "string", "enum": preset_names(), "help": about}
    return described | {"properties": {KEY: preset, **properties}, "additionalProperties": False}


SAID_IN_A_SCHEMA = ("title", "type", "default", "minimum", "maximum", "step", "label", "help", "allowed")


def _described(name: str, setting: dict[str, Any], offer: Offer) -> dict[str, Any]:
    """One setting: what a JSON schema says of it, what it can be on this host, and which methods read it."""
    said: dict[str, Any] = {key: setting[key] for key in SAID_IN_A_SCHEMA if key in setting}
    said["help"] = str(help_of(name, offer))
    if "choices" in setting:
        said["enum"] = choices_of(name, offer)
    if methods := readers(name):
        said["methods"] = methods
    return said


def credentials_check(app: FastAPI) -> Callable[..., Any]:
    """A dependency that lets through whoever the host's API (--api-auth) or page (--gradio-auth) would let through."""

    async def check(request: Request) -> None:
        credentials = await HTTPBasic(auto_error=False)(request)
        if not _is_protected(app) or _knows(_api_users(), credentials):
            return
        if not _api_users() and (_knows(_page_users(app), credentials) or _is_logged_in(app, request)):
            return
        raise HTTPException(401, "Incorrect username or password", headers={"WWW-Authenticate": "Basic"})

    return check


def _is_protected(app: FastAPI) -> bool:
    return bool(shared.cmd_opts.api_auth or getattr(app, "auth", None))


def _api_users() -> dict[str, str]:
    entries = (entry.partition(":") for entry in (shared.cmd_opts.api_auth or "").split(",") if ":" in entry)
    return {user: password for user, _, password in entries}


def _page_users(app: FastAPI) -> dict[str, str]:
    users = getattr(app, "auth", None)
    return users if isinstance(users, dict) else {}


def _knows(users: dict[str, str], credentials: HTTPBasicCredentials | None) -> bool:
    if credentials is None or credentials.username not in users:
        return False
    return secrets.compare_digest(credentials.password.encode(), users[credentials.username].encode())


def _is_logged_in(app: FastAPI, request: Request) -> bool:
    """Whether the request carries the cookie of a login to the page."""
    tokens = getattr(app, "tokens", {})
    return any(name.startswith("access-token") and token in tokens for name, token in request.cookies.items())
