"""The README's table of hosts, made from the results of the live tests.

    python tests/live/hosts_table.py

puts it between the two marks in README.md. The results lie in `results`, a file for each host (see outcomes.py).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from deviations import DEVIATIONS, Deviation

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "README.md"
BEGIN, END = "<!-- hosts: made by tests/live/hosts_table.py -->", "<!-- /hosts -->"

WEBUIS = ("webui-1.10.1", "webui-1.9.4", "webui-1.8.0", "webui-1.7.0", "webui-1.6.1")
ORDER = (*WEBUIS, "forge", "reforge", "forge-classic")
"""Columns of the table, by the names of the files; hosts that are not named come after these."""

REFUSAL = "A host it cannot work on: says why; off is bit-identical"

FEATURES = {
    "txt2img: samplers, schedules, batches, prompts": (
        "test_generation::test_every_s*",
        "test_generation::test_a_batch_of_three*",
        "test_generation::test_three_pictures*",
        "test_generation::test_prompts*",
        "test_generation::test_conditions*",
        "test_generation::test_skipped*",
        "test_generation::test_tiles_at_once*",
        "test_generation::test_a_held_grid*",
        "test_generation::test_live_previews*",
    ),
    "The extension's own defaults": ("test_live_defaults::*",),
    "SD 1.x, SD 2.x, SDXL": (
        "test_generation::test_every_model_shape*",
        "test_generation::test_sdxl_is_told*",
        "test_generation::test_a_model_that_is_told_no_size*",
    ),
    "Upscaling in img2img, before a face detailer": (
        "test_live_upscaling::*",
        "test_live_upscale_button::*",
        "test_live_upscale_chain::*",
        "test_live_adetailer::*",
        "test_live_inversion::*",
        "test_live_fidelity::*",
    ),
    "img2img and inpainting": ("test_generation::*img2img*", "test_generation::*inpainting*"),
    "Hires fix": ("test_generation::*hires*",),
    "Refiner": ("test_generation::*refiner*",),
    "Regions": ("test_live_regions::*", "test_live_wildcards::*"),
    "Style alignment": ("test_style_alignment::*",),
    "ScaleCrafter": ("test_dilation::*",),
    "Compose first": ("test_live_composing::*", "test_live_background::*"),
    "LoRA, and a LoRA of the first stage alone": ("test_live_lora::*",),
    "Tiled VAE, wrap": ("test_live_vae::*",),
    "SD 3": ("test_sd3::*",),
    "ControlNet": ("test_live_controlnet::*",),
    "Flux": ("test_transformers::*",),
    "The host's own MultiDiffusion and HyperTile": ("test_live_neighbours::*",),
    "API, infotext, sizes, X/Y/Z": ("test_api::*",),
    "360° pictures and textures": ("test_live_panorama::*",),
    "The panel": ("test_page::*", "test_live_presets::*", "test_live_comparing::*"),
    "The panel in the host's language": ("test_live_languages::*",),
    "The region editor": ("test_editor::*",),
    "Half precision, --medvram, --lowvram, fp8": ("test_live_precision::*",),
    "A card's answers about its memory": ("test_live_cuda::*",),
    "Errors, interrupt, skip; off is bit-identical": ("test_host_untouched::*", "test_generation::*failing*"),
    REFUSAL: ("test_refusing_host::*",),
}
"""Rows of the table, and the live tests that show each; a test belongs to the last row that names it."""


def feature_of(test: str) -> str | None:
    """The row that a test ("file::function") belongs to."""
    rows = [row for row, patterns in FEATURES.items() if any(fnmatchcase(test, one) for one in patterns)]
    return rows[-1] if rows else None


def counts(record: dict[str, Any]) -> dict[str, Counter[str]]:
    """By row, how many cases came out how on one host."""
    rows: dict[str, Counter[str]] = {row: Counter() for row in FEATURES}
    for test, outcomes in record["tests"].items():
        row = feature_of(test)
        if row is not None:
            rows[row].update(outcomes)
    return rows


def cell(row: Counter[str], refuses: bool = False) -> str:
    """How many of a row's tests passed, of those that ran; without any, whether that is because it refuses to work."""
    ran = row["passed"] + row["failed"] + row["lacking"]
    if ran == 0:
        return "refused" if refuses else "not run"
    return f"{row['passed']}" if row["passed"] == ran else f"{row['passed']} of {ran}"


def reasons(records: list[dict[str, Any]]) -> list[str]:
    """Why tests did not pass, once each, with the hosts where."""
    lines = []
    for deviation in DEVIATIONS:
        hosts = [record["host"] for record in records if _lacks(record["tests"], deviation)]
        if hosts:
            lines.append(f"- {', '.join(hosts)}: not a host that {deviation.feature}; {deviation.without}.")
    return lines


def _lacks(tests: dict[str, dict[str, int]], deviation: Deviation) -> bool:
    """Whether cases came out lacking for this reason: not if a test that needs the feature in all cases passed."""
    lacking = {test.partition("::")[2]: "lacking" in outcomes for test, outcomes in tests.items()}
    if any(not lacking.get(test, True) for test in deviation.tests):
        return False
    return any(lacking.get(test.partition("[")[0], False) for test in deviation.tests)


def table(records: list[dict[str, Any]]) -> str:
    """The table in Markdown, and below it what the numbers leave out."""
    heads = [f"{record['host']} ({record['commit']})" for record in records]
    rows = [["Live tests that passed", *heads], ["---"] * (len(heads) + 1)]
    by_host = [counts(record) for record in records]
    rows += [[row, *(cell(host[row], host[REFUSAL]["passed"] > 0) for host in by_host)] for row in FEATURES]
    for name in ("python", "torch", "gradio", "pydantic", "transformers"):
        rows.append([name if name == "torch" else name.capitalize(), *(record[name] for record in records)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *reasons(records)]).rstrip()


def kept() -> list[dict[str, Any]]:
    """The results that lie here, in the order of the table's columns."""
    found = {path.stem: path for path in sorted((HERE / "results").glob("*.json"))}
    names = [*(name for name in ORDER if name in found), *(name for name in found if name not in ORDER)]
    return [json.loads(found[name].read_text("utf-8")) for name in names]


def with_table(readme: str, made: str) -> str:
    """The README with the table between its marks."""
    return re.sub(
        f"(?s)({re.escape(BEGIN)}\n).*?(\n{re.escape(END)})", lambda marks: marks[1] + made + marks[2], readme
    )


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8"), table(kept())), "utf-8")
