"""Does to prompts what wildcard extensions do, in the same place: {a|b} becomes another choice for each picture."""

from __future__ import annotations

import re
from typing import Any

from modules import scripts


class Wildcards(scripts.Script):
    def title(self) -> str:
        return "Wildcards"

    def show(self, is_img2img: bool) -> Any:
        return scripts.AlwaysVisible

    def process(self, p: Any, *args: Any) -> None:
        if "{" in p.all_prompts[0]:
            p.extra_generation_params["Template"] = p.all_prompts[0]
        p.all_prompts = [_chosen(text, i) for i, text in enumerate(p.all_prompts)]
        p.all_negative_prompts = [_chosen(text, i) for i, text in enumerate(p.all_negative_prompts)]
        if getattr(p, "enable_hr", False):
            p.all_hr_prompts, p.all_hr_negative_prompts = list(p.all_prompts), list(p.all_negative_prompts)


def _chosen(text: str, picture: int) -> str:
    def choice(found: re.Match[str]) -> str:
        variants = found[1].split("|")
        return variants[picture % len(variants)]

    return re.sub(r"\{([^{}]*)\}", choice, text)
