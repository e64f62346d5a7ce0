"""Callbacks. An exception in one is reported, and the host goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from modules import errors

registered: dict[str, list[Callable[..., Any]]] = defaultdict(list)


class CFGDenoiserParams:
    def __init__(
        self,
        x: Any,
        image_cond: Any,
        sigma: Any,
        sampling_step: int,
        total_sampling_steps: int,
        text_cond: Any,
        text_uncond: Any,
        denoiser: Any = None,
    ) -> None:
        self.x, self.image_cond, self.sigma = x, image_cond, sigma
        self.sampling_step, self.total_sampling_steps = sampling_step, total_sampling_steps
        self.text_cond, self.text_uncond, self.denoiser = text_cond, text_uncond, denoiser


def on_cfg_denoiser(callback: Callable[..., Any]) -> None:
    registered["cfg_denoiser"].append(callback)


def on_ui_settings(callback: Callable[..., Any]) -> None:
    registered["ui_settings"].append(callback)


def on_before_ui(callback: Callable[..., Any]) -> None:
    registered["before_ui"].append(callback)


def on_app_started(callback: Callable[..., Any]) -> None:
    registered["app_started"].append(callback)


def on_ui_tabs(callback: Callable[..., Any]) -> None:
    registered["ui_tabs"].append(callback)


def on_before_image_saved(callback: Callable[..., Any]) -> None:
    registered["before_image_saved"].append(callback)


def on_image_saved(callback: Callable[..., Any]) -> None:
    registered["image_saved"].append(callback)


def cfg_denoiser_callback(params: CFGDenoiserParams) -> None:
    for callback in registered["cfg_denoiser"]:
        try:
            callback(params)
        except Exception as error:
            errors.report(f"Error executing callback cfg_denoiser_callback: {error}")
