"""The Forge family without its host: a patcher that a clone stands in for, rows counted per tile, controls per tile."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lib_instantas.denoiser import TiledDenoiser
from lib_instantas.hosts.a1111.parts.seen import SeenThings
from lib_instantas.hosts.a1111.patched_controls import PatchedControls
from lib_instantas.hosts.a1111.samplers.forge import WRAPPER, AskedInTiles, PatchedSamplers, Rows
from lib_instantas.methods import Request, make_method
from lib_instantas.settings import SettingsError, parse_settings

CANVAS = 24, 40
LEFT = {"shape": {"type": "rectangle", "x": 0, "y": 0, "width": 0.5, "height": 1}, "prompt": "a fox"}
SETTINGS = {"enabled": True, "tile": 128, "fit": "native", "schedule": "cyclic", "gamma": 0.0}


class Patcher:
    """What the host keeps of a UNet: options for the call of the model, and a chain of controls."""

    def __init__(self, controls: tuple[Any, ...] = (), options: dict[str, Any] | None = None) -> None:
        self.controls = controls
        self.controlnet_linked_list = controls[0] if controls else None
        self.model_options = options or {}

    def clone(self) -> Patcher:
        return Patcher(self.controls, copy.deepcopy(self.model_options))

    def list_controlnets(self) -> list[Any]:
        return list(self.controls)


class Control:
    """A control that answers with the hint and the mask it has when it is asked."""

    def __init__(self, hint: Tensor, mask: Tensor | None = None) -> None:
        self.cond_hint_original = hint
        self.cond_hint = "kept from the last call"
        self.advanced_mask_weighting = mask
        self.transformer_options: dict[str, Any] = {}
        self.seen: list[tuple[Tensor, Tensor | None]] = []

    def get_control(self, x: Tensor, sigma: Tensor, conditioning: dict[str, Any], chunks: int) -> dict[str, Any]:
        assert self.cond_hint is None
        assert len(self.cond_hint_original) == len(x)
        self.seen.append((self.cond_hint_original, self.advanced_mask_weighting))
        return {"chunks": chunks}


def sampling(tile_batch: int = 1, pictures: int = 1) -> Any:
    method = make_method(Request(CANVAS, 16, parse_settings({**SETTINGS, "tile_batch": tile_batch})))
    denoisers = [TiledDenoiser(lambda *_, **__: None, method, tile_batch=tile_batch) for _ in range(pictures)]  # type: ignore[arg-type,return-value]

    def ask(model: Any, rows: Any, x: Tensor, sigma: Tensor, **conditioning: Any) -> Tensor:
        denoisers[0].model = model
        return denoisers[0](x, sigma, **conditioning)

    return SimpleNamespace(denoisers=denoisers, ask=ask, damped_scales=[])


def asked_about(rows: int, kinds: list[int], **more: Any) -> dict[str, Any]:
    x = torch.arange(rows * 4.0 * CANVAS[0] * CANVAS[1]).view(rows, 4, *CANVAS)
    c = {"transformer_options": {"cond_or_uncond": kinds, "sigmas": torch.ones(rows // len(kinds)), "other": 1}, **more}
    return {"input": x, "timestep": torch.ones(rows), "c": c, "cond_or_uncond": kinds}


@pytest.mark.parametrize("tile_batch", [1, 4])
def test_a_model_that_changes_nothing_gives_the_canvas_back(tile_batch: int) -> None:
    asked = AskedInTiles(Patcher())
    asked.begin(sampling(tile_batch), SimpleNamespace(x=torch.zeros(2, 4, *CANVAS)))
    question = asked_about(4, [1, 0])
    assert torch.equal(asked(lambda x, sigma, **c: x, question), question["input"])


def test_rows_are_counted_tile_by_tile_kind_by_kind_picture_by_picture() -> None:
    given = {
        "cond_or_uncond": [1, 0],
        "sigmas": torch.tensor([3.0, 4.0]),
        "cond_mark": torch.tensor([1.0, 1.0, 0.0, 0.0]),
        "cond_indices": [2, 3],
        "uncond_indices": [0, 1],
        "patches": "as they were",
    }
    options = Rows([1, 0], pictures=2, tiles=2).options(given, torch.tensor([3.0, 4.0] * 4))
    assert options["cond_or_uncond"] == [1, 0, 1, 0]
    assert options["sigmas"].tolist() == [3.0, 4.0]
    assert options["cond_mark"].tolist() == [1, 1, 0, 0, 1, 1, 0, 0]
    assert (options["cond_indices"], options["uncond_indices"]) == ([2, 3, 6, 7], [0, 1, 4, 5])
    assert options["patches"] == "as they were"


def test_rows_of_one_picture_of_a_batch() -> None:
    given = {"cond_or_uncond": [1, 0], "cond_mark": torch.tensor([1.0, 1.0, 0.0, 0.0])}
    options = Rows([1, 0], pictures=1, tiles=3).options(given, torch.ones(6))
    assert options == {"cond_or_uncond": [1, 0] * 3, "cond_mark": options["cond_mark"]}
    assert options["cond_mark"].tolist() == [1, 0] * 3


@pytest.mark.parametrize("tile_batch", [1, 4])
def test_each_control_sees_the_part_of_its_hint_where_the_tiles_are(tile_batch: int) -> None:
    place = torch.arange(CANVAS[0] * 8 * CANVAS[1] * 8.0).view(1, 1, CANVAS[0] * 8, CANVAS[1] * 8)
    control = Control(place, torch.ones(1, 1, 3, 5))
    patcher = Patcher((control,))
    asked = AskedInTiles(patcher)
    asked.begin(sampling(tile_batch), SimpleNamespace(x=torch.zeros(1, 4, *CANVAS)))
    asked(lambda x, sigma, **c: x, asked_about(2, [1, 0]))
    corners = {int(row[0, 0, 0]) for hint, _ in control.seen for row in hint}
    assert corners == {y * 8 * CANVAS[1] * 8 + x * 8 for y in (0, 8) for x in (0, 16, 24)}
    assert all(hint.shape[-2:] == (128, 128) for hint, _ in control.seen)
    assert all(mask is not None and mask.shape[-2:] == (16, 16) for _, mask in control.seen)
    assert control.cond_hint_original is place
    assert control.cond_hint == "kept from the last call"


def test_what_another_extension_asks_through_is_asked_with_tiles() -> None:
    sizes = []

    def theirs(apply_model: Any, asked: dict[str, Any]) -> Tensor:
        sizes.append(tuple(asked["input"].shape[-2:]))
        assert len(asked["input"]) == len(asked["cond_or_uncond"])
        return apply_model(asked["input"], asked["timestep"], **asked["c"])

    patcher = Patcher(options={WRAPPER: theirs})
    asked = AskedInTiles(patcher)
    asked.begin(sampling(2), SimpleNamespace(x=torch.zeros(1, 4, *CANVAS)))
    question = asked_about(2, [1, 0])
    assert torch.equal(asked(lambda x, sigma, **c: x, question), question["input"])
    assert set(sizes) == {(16, 16)}
    assert patcher.model_options[WRAPPER] is theirs


def test_a_clone_of_the_clone_asks_through_the_same_object() -> None:
    asked = AskedInTiles(Patcher())
    assert asked.patcher.clone().model_options[WRAPPER] is asked


def test_no_controls_add_nothing() -> None:
    assert PatchedControls(()).on_canvas(torch.zeros(2, 4, *CANVAS), [0, 0]) == {}


@pytest.mark.parametrize(
    ("replaced", "regions", "seen", "refused"),
    [
        (True, True, None, "regions"),
        (True, False, SeenThings(), "compose_background"),
        (True, False, None, ""),
        (False, True, SeenThings(), ""),
    ],
)
def test_prompts_by_place_are_refused_where_an_adapter_reads_the_prompt_itself(
    replaced: bool, regions: bool, seen: SeenThings | None, refused: str
) -> None:
    patches = {"attn2": {("input", 1, 0): lambda *_: None}} if replaced else {"attn1": {("input", 1, 0): None}}
    patcher = Patcher(options={"transformer_options": {"patches_replace": patches}})
    objects = SimpleNamespace(unet=patcher)
    model = SimpleNamespace(inner_model=SimpleNamespace(inner_model=SimpleNamespace(forge_objects=objects)))
    params = SimpleNamespace(denoiser=model, x=torch.zeros(1, 4, *CANVAS))
    settings = parse_settings({**SETTINGS, "regions": [LEFT] if regions else []})
    work = SimpleNamespace(work=SimpleNamespace(settings=settings, seen=seen), denoisers=[None])
    message = f"{refused} must be empty while an adapter .* or leave {refused} empty"
    with pytest.raises(SettingsError, match=message) if refused else nullcontext():
        PatchedSamplers().ask_through(work, params)  # type: ignore[arg-type]
    assert objects.unet.model_options[WRAPPER] is not None
