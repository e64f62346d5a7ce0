"""The standalone page in Gradio: prompt, editor, settings, picture."""

from __future__ import annotations

import html
import logging
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from lib_instantas import __version__
from lib_instantas.agreement import help_of
from lib_instantas.cli.pictures import png_texts
from lib_instantas.components import component_of
from lib_instantas.editor.page import HIDDEN, PageConfig, Target
from lib_instantas.editor.service import EditorService
from lib_instantas.editor.tab import build_tab
from lib_instantas.hosts.enlarging import UPSCALERS
from lib_instantas.hosts.standalone import SAMPLERS, Job, Result
from lib_instantas.presets import PRESET_NAMES, PRESETS
from lib_instantas.serve.generation import Progress, StoppableGenerator, Stopped
from lib_instantas.settings import SettingsError, names, option, parse_settings

logger = logging.getLogger(__name__)

PREFIX = "instantas_serve"
LIVE = Target(
    "serve",
    "page",
    PREFIX,
    steps=f"{PREFIX}_steps",
    seed=f"{PREFIX}_seed",
    results=f"#{PREFIX}_picture img",
    live=True,
)
CONFIG = PageConfig((LIVE,), follow_result=True)

CARRIED = ("width", "height", "regions")
"""Settings that the editor shows and the page only carries."""

MAX_SEED = 2**32 - 1

# What works by itself, folded away; a setting that is named nowhere gets a row of its own after DETAILS.
DETAILS = (
    ("schedule", "edges"),
    ("gamma", "movement"),
    ("tile", "fit"),
    ("tile_batch", "overlap"),
    ("dilation", "dilated_levels"),
)
COMPOSE = (
    ("compose", "compose_upscaler"),
    ("compose_strength", "compose_guidance"),
    ("compose_background",),
    ("compose_lora", "compose_tiles_lora"),
)

PROMPT = "mountains at sunset"


class StandalonePage:
    """The components, and what happens when a picture is asked for."""

    def __init__(self, generator: StoppableGenerator, service: EditorService) -> None:
        self.generator = generator
        self._settings: dict[str, Any] = {}
        with gr.Blocks(
            title="InstantAS", theme=_theme(), analytics_enabled=False, elem_id="instantas_page"
        ) as self.blocks:
            gr.HTML(_heading())
            self._build_prompts()
            build_tab(service, CONFIG)
            self._build_settings()
            self._connect()
        self.blocks.queue(api_open=False)

    def _build_prompts(self) -> None:
        with gr.Row(elem_id=f"{PREFIX}_top"):
            with gr.Column(scale=5, min_width=320):
                self.prompt = gr.Textbox(PROMPT, label="Prompt", lines=2, elem_id=f"{PREFIX}_prompt")
                self.negative = gr.Textbox("", label="Negative prompt", lines=1, elem_id=f"{PREFIX}_negative_prompt")
            with gr.Column(scale=2, min_width=240):
                with gr.Row():
                    self.go = gr.Button("Generate", variant="primary", elem_id=f"{PREFIX}_go")
                    self.stop = gr.Button("Stop", elem_id=f"{PREFIX}_stop")
                self.progress = gr.HTML(_line("Ready."), elem_id=f"{PREFIX}_progress")

    def _build_settings(self) -> None:
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                self.picture = gr.Image(
                    label="Picture",
                    interactive=False,
                    elem_id=f"{PREFIX}_picture",
                    type="filepath",
                    show_share_button=False,
                )
                self.infotext = gr.Textbox(
                    label="Parameters", interactive=False, show_copy_button=True, elem_id=f"{PREFIX}_infotext"
                )
            with gr.Column(scale=3, min_width=320):
                self._build_sampling()
                self._build_instantas()

    def _build_sampling(self) -> None:
        with gr.Row():
            samplers = list(SAMPLERS)
            self.sampler = gr.Dropdown(samplers, value="Euler a", label="Sampler", elem_id=f"{PREFIX}_sampler")
            self.steps = gr.Slider(1, 150, value=20, step=1, label="Steps", elem_id=f"{PREFIX}_steps")
        with gr.Row():
            self.guidance = gr.Slider(1, 20, value=5, step=0.5, label="CFG scale", elem_id=f"{PREFIX}_cfg")
            self.seed = gr.Number(-1, precision=0, label="Seed (-1: any)", elem_id=f"{PREFIX}_seed")

    def _build_instantas(self) -> None:
        preset = gr.Dropdown(list(PRESETS), value=next(iter(PRESETS)), label="Preset", elem_id=f"{PREFIX}_preset")
        with gr.Row():
            self._add("method")
            self._add("enabled", value=True)
        placed = {"enabled", "method", *CARRIED, *(name for row in (*COMPOSE, *DETAILS) for name in row)}
        with gr.Accordion("Two stages", open=False, elem_id=f"{PREFIX}_compose_details"):
            self._add_rows(COMPOSE)
        with gr.Accordion("Tiles and how they move", open=False, elem_id=f"{PREFIX}_details"):
            self._add_rows((*DETAILS, *((name,) for name in names() if name not in placed)))
        with gr.Column(elem_classes=[HIDDEN]):
            for name in CARRIED:
                self._add(name)
        chosen = [self._settings[name] for name in PRESET_NAMES]
        preset.input(lambda name: [*PRESETS[name].values.values()], preset, chosen, queue=False)

    def _add_rows(self, rows: Sequence[Sequence[str]]) -> None:
        for row in rows:
            with gr.Row():
                for name in row:
                    self._add(name)

    def _add(self, name: str, value: Any = None) -> None:
        self._settings[name] = _component(name, option(name).default if value is None else value)

    def _connect(self) -> None:
        inputs = [self.prompt, self.negative, self.sampler, self.steps, self.guidance, self.seed]
        outputs = [self.progress, self.picture, self.infotext, self.go]
        made = self.go.click(self.generate, [*inputs, *self._settings.values()], outputs, show_progress="hidden")
        # Gradio drops a click until the one before has ended in the browser, which is after "Done." is read there.
        made.then(lambda: gr.update(interactive=True), None, self.go, show_progress="hidden", queue=False)
        self.stop.click(self.generator.stop, queue=False)

    def generate(
        self,
        prompt: str,
        negative: str,
        sampler: str,
        steps: float,
        guidance: float,
        seed: float | None,
        *settings: Any,
    ) -> Iterator[tuple[Any, ...]]:
        """Progress, preview or picture, infotext and the button, again and again until the picture is done."""
        yield _line("Starting …"), gr.update(), "", gr.update(interactive=False)
        try:
            values = parse_settings(dict(zip(self._settings, settings, strict=True)))
            job = Job(
                prompt=prompt,
                size=(values.height, values.width),
                settings=values,
                negative_prompt=negative,
                seed=_resolved(seed),
                steps=int(steps),
                guidance=float(guidance),
                sampler=sampler,
            )
            for event in self.generator.make(job):
                yield _shown(event)
        except Stopped:
            yield _told("Stopped.")
        except ValueError as error:
            yield _told(str(error), "error")
        except Exception as error:
            logger.exception("InstantAS: the picture could not be made")
            yield _told(f"{type(error).__name__}: {error}", "error")


def _component(name: str, value: Any) -> Any:
    extra = option(name).field_info.extra
    component, limits = component_of(name, UPSCALERS if name == "compose_upscaler" else None)
    return component(**limits, label=extra["label"], info=help_of(name), value=value, elem_id=f"{PREFIX}_{name}")


def _resolved(seed: float | None) -> int:
    if seed is None or seed < 0:
        return random.randint(0, MAX_SEED)
    if seed > MAX_SEED:
        raise SettingsError(f"seed must be at most {MAX_SEED}, got {seed:.0f}")
    return int(seed)


def _shown(event: Progress | Result) -> tuple[Any, ...]:
    if isinstance(event, Result):
        return _line("Done.", "done"), _saved(event), event.infotext, gr.update()
    text = f"Step {event.step} of {event.steps}, {event.seconds:.0f} s"
    preview = gr.update() if event.preview is None else gr.update(value=event.preview)
    return _line(text, "busy", event.step / event.steps), preview, "", gr.update()


def _told(text: str, state: str = "idle") -> tuple[Any, ...]:
    return _line(text, state), gr.update(), "", gr.update()


def _saved(result: Result) -> str:
    """A PNG that carries its infotext, in the folder that Gradio serves and keeps."""
    folder = Path(tempfile.gettempdir()) / "gradio"
    folder.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=folder)) / "instantas.png"
    result.image.save(path, pnginfo=png_texts(result))
    return str(path)


def _line(text: str, state: str = "idle", share: float = 0.0) -> str:
    share = 1.0 if state == "done" else share
    bar = f'<div class="instantas-bar"><div style="width: {share:.1%}"></div></div>'
    return f'<div class="instantas-progress" data-state="{state}">{html.escape(text)}{bar}</div>'


def _heading() -> str:
    title = f"<strong>InstantAS</strong> <span>pictures of any size · {__version__}</span>"
    return f'<div class="instantas-heading">{title}</div>'


def _theme() -> Any:
    """Gradio's own look with the fonts of the machine: nothing is loaded from the network."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    return gr.themes.Default(font=fonts, font_mono=["ui-monospace", "Consolas", "monospace"])
