"""The finished tables as files: one for each, with its chart and pictures, and one that says what the columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tables.bench import Section
from benchmarks.tables.layout import bar_chart, contact_sheet
from benchmarks.tables.pictures import OWN_PICTURES

PICTURES = "pictures"
MEASURES = "measures.md"

IN_ALL = (
    "**seam** is the step across the resting grid's lines over that across other multiples of 8 pixels; **seconds** "
    "the median time that computing one picture takes, decoding included; **±** half of a figure's 95 % interval over "
    "subjects. Rows begin with the same noise, so a difference of two is known better than either: two rows are told "
    "apart where the 95 % interval of their difference, subjects drawn anew for both alike, leaves out zero. The "
    "papers' FID is another measure on another model: only the order can be compared. Sizes are height x width, as in "
    "the papers."
)
SMALL_WORLD = (
    "Small World knows 256x256 pixels, half of what the papers' models know, so every size is half of theirs. "
    "**FID-W** is the Frechet distance of 256x256 crops to the model's own pictures of the same scenes, "
    f"{OWN_PICTURES} of each (as in the papers), in the features of a judge trained on drawn scenes, **FID-B** that of "
    "whole pictures shrunk to 256x256, as in ScaleCrafter's paper; **KID-W** and **KID-B** are the unbiased kernel "
    "distance in the same features, which does not fall with the number of pictures as the Frechet distance does; "
    "**prompt** is the share of crops whose place and time are the prompt's; **things** how often the thing of the "
    "prompt is seen on a shrunk picture (1 is wanted); **horizons** how often sky above turns to ground below in the "
    "picture as it is (1 is wanted); **diversity** the crops' mean distance from each other over that of the model's "
    "own pictures."
)
ANY_MODEL = (
    "**KID-E** is the unbiased kernel distance x 1000 of crops of the model's own size to the model's own pictures of "
    f"the same prompts, {OWN_PICTURES} of each (as in the papers), in the features of EfficientNet-Lite0 with "
    "ImageNet's weights; **KID-EB** that of whole pictures, shrunk to this size. FID-W, FID-B, KID-W, KID-B, prompt, "
    "things and diversity need the judge of Small World's scenes, and drawn panoramas show its scenes: with another "
    "model they are left out."
)
CLIP = (
    "**CLIP** is the cosine between CLIP's embeddings of a crop (of the shrunk picture, for whole ones) and of its "
    "prompt."
)


@dataclass(frozen=True)
class Setting:
    """What a run of the command was asked for."""

    model: str
    pictures: int
    steps: int
    guidance: float
    device: str
    tiles: int
    options: str
    """Of the command, besides --only."""

    def of(self, key: str) -> str:
        """How a table was made."""
        return (
            f"{self.pictures} pictures a row with {self.model}, DDIM, {self.steps} steps, guidance {self.guidance:g}, "
            f"bfloat16, {self.device}, up to {self.tiles} tiles at once: `python -m benchmarks.tables --only {key}"
            f"{self.options}`. [What the columns mean]({MEASURES})"
        )


def write_measures(folder: Path, small_world: bool, clip: bool) -> None:
    """What the columns of this run's tables mean."""
    parts = [IN_ALL, SMALL_WORLD if small_world else ANY_MODEL, *([CLIP] if clip else [])]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MEASURES).write_text("# What the columns mean\n\n" + "\n\n".join(parts) + "\n", encoding="utf-8")


def write(folder: Path, section: Section, setting: Setting, left_out: Mapping[str, str]) -> None:
    """One table as KEY.md, its images in the folder's pictures."""
    lines = [f"# {section.title}", "", section.table, "", section.text, "", setting.of(section.key), ""]
    if left_out:
        rows = "; ".join(f"{name} ({reason})" for name, reason in left_out.items())
        lines += [f"Left out, as the model cannot have them: {rows}.", ""]
    if section.chart:
        bar_chart(folder / PICTURES / f"{section.key}.png", section.title, section.chart)
        lines += [f"![chart]({PICTURES}/{section.key}.png)", ""]
    if section.pictures:
        contact_sheet(folder / PICTURES / f"{section.key}-pictures.png", section.pictures)
        lines += [f"![the first picture of each row]({PICTURES}/{section.key}-pictures.png)", ""]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{section.key}.md").write_text("\n".join(lines), encoding="utf-8")
