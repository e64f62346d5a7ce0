"""What the page may ask: one JSON request in, one JSON answer out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lib_instantas.editor.plans import MAX_STEPS, plan_document
from lib_instantas.editor.presets import PresetStore
from lib_instantas.errors import RefusalError, told
from lib_instantas.methods import Request
from lib_instantas.regions_json import MAX_PROMPT, MAX_TEXT, setup_from_json, setup_to_json
from lib_instantas.settings import LARGEST_SIDE, names, parse_settings
from lib_instantas.sizes import canvas_for
from lib_instantas.texts import messages
from lib_instantas.texts.message import Words, said

logger = logging.getLogger(__name__)

SMALLEST_SIDE = 64
MAX_TEXTS = 200
"""Prompts counted in one request: positive and negative of more regions than allowed."""

Params = Mapping[str, Any]


class RequestError(RefusalError):
    """A request that cannot be answered. What our own page never asks is answered in English."""


@dataclass(frozen=True)
class TokenCount:
    """Tokens of a prompt, and how many fit before the next block of 75 begins."""

    count: int
    limit: int


@dataclass(frozen=True)
class EditorService:
    """Answers the editor's questions.

    `native_side` tells the side in latent pixels that the loaded model knows; `count_tokens` counts a prompt's tokens,
    or is None where no tokenizer is at hand; `words` are those of the page's language.
    """

    presets: PresetStore
    native_side: Callable[[], int] = lambda: 64
    count_tokens: Callable[[str], TokenCount] | None = None
    words: Callable[[], Words] = dict

    def answer(self, text: str) -> str:
        """The answer to one request `{"id", "method", "params"}`: `{"id", "result"}` or `{"id", "error"}`."""
        request: dict[str, Any] = {}
        try:
            request = _request(text)
            return json.dumps({"id": request.get("id"), "result": self._call(request)})
        except ValueError as error:
            return self._refusal(request, error)
        except RecursionError:
            return self._refusal(request, RequestError(messages.TOO_DEEP()))
        except OSError as error:
            logger.exception("InstantAS: a preset could not be stored")
            return self._refusal(request, RequestError(error.strerror or str(error)))

    def _refusal(self, request: Params, error: ValueError) -> str:
        return json.dumps({"id": request.get("id"), "error": said(told(error), self.words())})

    def _call(self, request: dict[str, Any]) -> Any:
        methods: dict[str, Callable[[Params], Any]] = {
            "plan": self._plan,
            "tokens": self._tokens,
            "check": self._check,
            "presets": self._list_presets,
            "save": self._save,
            "load": self._load,
            "delete": self._delete,
        }
        method, params = request.get("method"), request.get("params", {})
        if not isinstance(method, str) or method not in methods:
            raise RequestError(f"unknown request {method!r:.80}")
        if not isinstance(params, dict):
            raise RequestError("params must be an object")
        return methods[method](params)

    def _plan(self, params: Params) -> dict[str, Any]:
        canvas = _canvas(params.get("canvas"))
        given = params.get("settings", {})
        if not isinstance(given, dict):
            raise RequestError("settings must be an object")
        settings = parse_settings({key: value for key, value in given.items() if key in names()})
        size = canvas_for((canvas["height"], canvas["width"]))
        steps = _whole_number(params.get("steps", 20), "steps", 1, MAX_STEPS)
        seed = _whole_number(params.get("seed", 0), "seed", 0, 2**63)
        document = plan_document(Request(size, self.native_side(), settings, seed, steps))
        return {**document, "left_out": said(document["left_out"], self.words())}

    def _tokens(self, params: Params) -> list[dict[str, int]] | None:
        texts = params.get("texts")
        if not isinstance(texts, list) or len(texts) > MAX_TEXTS or not all(map(_is_prompt, texts)):
            raise RequestError(
                f"texts must be a list of at most {MAX_TEXTS} texts of at most {MAX_PROMPT} characters each"
            )
        if self.count_tokens is None:
            return None
        return [{"count": c.count, "limit": c.limit} for c in map(self.count_tokens, texts)]

    def _check(self, params: Params) -> dict[str, Any]:
        return checked_document(params.get("document"))

    def _list_presets(self, params: Params) -> list[str]:
        return self.presets.names()

    def _save(self, params: Params) -> list[str]:
        self.presets.save(_name(params), checked_document(params.get("document")))
        return self.presets.names()

    def _load(self, params: Params) -> dict[str, Any]:
        return checked_document(self.presets.load(_name(params)))

    def _delete(self, params: Params) -> list[str]:
        self.presets.delete(_name(params))
        return self.presets.names()


def checked_document(document: Any) -> dict[str, Any]:
    """A saved drawing `{"canvas": {"width", "height"}, "setup": {...}}` in canonical form, or ValueError.

    Canvas sizes are image pixels; the setup is the JSON form of a RegionSetup.
    """
    if not isinstance(document, dict) or set(document) != {"canvas", "setup"}:
        raise RequestError(messages.NO_DRAWING())
    return {"canvas": _canvas(document["canvas"]), "setup": setup_to_json(setup_from_json(document["setup"]))}


def _request(text: str) -> dict[str, Any]:
    if len(text) > MAX_TEXT:
        raise RequestError(messages.REQUEST_TOO_LONG(value=len(text), most=MAX_TEXT))
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError("the request is not JSON") from None
    if not isinstance(request, dict):
        raise RequestError("the request must be an object")
    return request


def _canvas(value: Any) -> dict[str, int]:
    if not isinstance(value, dict):
        raise RequestError(messages.NO_CANVAS())
    return {side: _whole_number(value.get(side), f"canvas.{side}", SMALLEST_SIDE, LARGEST_SIDE) for side in _SIDES}


def _is_prompt(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= MAX_PROMPT


_SIDES = ("width", "height")


def _name(params: Params) -> str:
    name = params.get("name")
    if not isinstance(name, str):
        raise RequestError("name must be a text")
    return name


def _whole_number(value: Any, name: str, lowest: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        allowed = messages.WHOLE_NUMBER(low=lowest, high=highest)
        raise RequestError(messages.MUST_BE(name=name, allowed=allowed, value=f"{value!r:.80}"))
    return value
