"""State and options of the host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class OptionInfo:
    def __init__(
        self,
        default: Any = None,
        label: str = "",
        component: Any = None,
        component_args: Any = None,
        section: Any = None,
    ) -> None:
        self.default, self.label, self.component, self.component_args = default, label, component, component_args
        self.section = section
        self.comment_after = ""

    def info(self, text: str) -> OptionInfo:
        self.comment_after += text
        return self


class OptionHTML(OptionInfo):
    def __init__(self, text: str) -> None:
        super().__init__(text, section=None)
        self.do_not_save = True


class Options:
    """Stored values, else the declared default, else no such attribute."""

    def __init__(self, **stored: Any) -> None:
        self.data_labels: dict[str, OptionInfo] = {}
        self.data: dict[str, Any] = stored

    def add_option(self, key: str, info: OptionInfo) -> None:
        self.data_labels[key] = info
        self.data.setdefault(key, info.default)

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("data", {}):
            return self.data[name]
        raise AttributeError(name)


opts = Options(
    samples_format="png",
    img2img_fix_steps=False,
    sd_vae_decode_method="Full",
    batch_cond_uncond=True,
    upcast_attn=False,
)
cmd_opts = SimpleNamespace(api_auth=None, disable_console_progressbars=True)
state = SimpleNamespace(interrupted=False, skipped=False, textinfo=None)
sd_upscalers = [SimpleNamespace(name="None"), SimpleNamespace(name="Lanczos")]
latent_upscale_modes = {"Latent": {"mode": "bilinear"}}
sd_model: Any = None
loaded_hypernetworks: list[Any] = []
prompt_styles = SimpleNamespace(
    apply_styles_to_prompt=lambda prompt, styles: prompt, apply_negative_styles_to_prompt=lambda prompt, styles: prompt
)
