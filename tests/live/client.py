"""The WebUI's HTTP API as the tests speak it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
from PIL import Image

TIMEOUT = 300
SMALL = {"prompt": "a red (cat:1.2)", "negative_prompt": "blur", "steps": 2, "width": 320, "height": 192, "seed": 5}
"""A picture of six tiles for a model that knows 128x128."""
DEFAULT_TILES = {"fit": "uniform", "edges": "elastic/sway", "tile_batch": 0}
"""The extension's own defaults, where webui.CONFIG has others: for methods that have no use for them."""
CHECKPOINT = {"sd_model_checkpoint": "sd1.safetensors"}


class RefusedError(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, answer: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {answer.get('errors') or answer.get('detail') or answer}")
        self.status = status


@dataclass(frozen=True)
class Made:
    """The pictures of one request, and what the host says about them."""

    images: list[Image.Image]
    info: dict[str, Any]

    @property
    def pixels(self) -> np.ndarray:
        """The first picture, [H, W, 3]."""
        return np.asarray(self.images[0].convert("RGB"))

    @property
    def infotext(self) -> str:
        """The first picture's metadata, as the host gives it beside the pictures."""
        return str(self.info["infotexts"][0])


@dataclass(frozen=True)
class Client:
    """One WebUI, with or without credentials."""

    url: str
    credentials: tuple[str, str] | None = None

    def answers(self) -> bool:
        """Whether the API is up."""
        try:
            self.get("/sdapi/v1/samplers")
        except (URLError, OSError, RefusedError):
            return False
        return True

    def get(self, path: str) -> Any:
        """The JSON answer to a GET."""
        return self._ask(Request(self.url + path))

    def post(self, path: str, body: Any = None) -> Any:
        """The JSON answer to a POST."""
        data = json.dumps({} if body is None else body).encode()
        return self._ask(Request(self.url + path, data, {"Content-Type": "application/json"}))

    def txt2img(self, settings: Mapping[str, Any] | Sequence[Any] | None = None, **fields: Any) -> Made:
        """Pictures from text; `settings` is the extension's object, or its positional values."""
        return self._make("/sdapi/v1/txt2img", settings, fields)

    def img2img(self, image: Image.Image, settings: Mapping[str, Any] | None = None, **fields: Any) -> Made:
        """Pictures from a picture."""
        return self._make("/sdapi/v1/img2img", settings, {"init_images": [encoded(image)], **fields})

    def changes(self, action: str, at: int, settings: Mapping[str, Any] | None, **fields: Any) -> set[str]:
        """Names of host attributes that are other objects after a picture in which something happens in the UNet.

        `action` is "raise", "interrupt", "skip" or nothing, in the call numbered `at`.
        """
        self.post("/test/begin", {"at": at if action else 0, "action": action})
        self.post("/test/remember")
        try:
            self.txt2img(settings, **fields)
        except RefusedError:
            assert action == "raise"
        changed = set(self.get("/test/changed"))
        self.get("/test/seen")
        return changed

    def _make(self, path: str, settings: Any, fields: Mapping[str, Any]) -> Made:
        body = {**SMALL, **fields}
        if body.get("enable_hr"):
            body.setdefault("hr_additional_modules", [])  # Forge does not take its absence for none
        body["override_settings"] = CHECKPOINT | fields.get("override_settings", {})
        if settings is not None:
            args = [settings] if isinstance(settings, Mapping) else list(settings)
            body["alwayson_scripts"] = {"InstantAS": {"args": args}}
        answer = self.post(path, {key: value for key, value in body.items() if value is not None})
        images = [Image.open(io.BytesIO(base64.b64decode(text))) for text in answer["images"]]
        return Made(images, json.loads(answer["info"]))

    def _ask(self, request: Request) -> Any:
        if self.credentials:
            token = base64.b64encode(":".join(self.credentials).encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urlopen(request, timeout=TIMEOUT) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise RefusedError(error.code, json.loads(error.read() or b"{}")) from None


def encoded(image: Image.Image) -> str:
    """A picture as the API takes it."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def same(one: Made, other: Made) -> bool:
    """Whether two pictures are equal bit for bit."""
    return bool(np.array_equal(one.pixels, other.pixels))


def gap(one: Made, other: Made) -> float:
    """`difference` of the first pictures of two requests."""
    return difference(one.images[0], other.images[0])


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two pictures in grey levels of 255."""
    first, second = (np.asarray(image.convert("RGB"), dtype=float) for image in (one, other))
    return float(np.abs(first - second).mean())
