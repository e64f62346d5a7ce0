"""Tables as Markdown, with a bar chart and a sheet of pictures beside each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

ROW_GAP, LABEL_HEIGHT, SHEET_WIDTH = 6, 16, 900


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers get as many decimals as they need, None becomes a dash."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *[[cell(value) for value in row] for row in rows]]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def cell(value: object) -> str:
    """A value as it stands in a table."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def bar_chart(path: Path, title: str, series: Mapping[str, Mapping[str, float]]) -> None:
    """One panel of horizontal bars per series, rows by their names, saved as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(next(iter(series.values())))
    figure, panels = pyplot.subplots(
        1, len(series), figsize=(3.4 * len(series) + 1.6, 0.32 * len(names) + 1.2), sharey=True, squeeze=False
    )
    for panel, (label, values) in zip(panels[0], series.items(), strict=True):
        panel.barh(names, [values.get(name, math.nan) for name in names], color="#4477aa")
        panel.set_title(label, fontsize=9)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].invert_yaxis()
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    pyplot.close(figure)


def contact_sheet(path: Path, pictures: Mapping[str, Image.Image]) -> None:
    """The first picture of each row under its name, all at one width, saved as PNG."""
    scaled = {
        name: picture.resize((SHEET_WIDTH, round(picture.height * SHEET_WIDTH / picture.width)))
        for name, picture in pictures.items()
    }
    height = sum(picture.height + LABEL_HEIGHT + ROW_GAP for picture in scaled.values())
    sheet = Image.new("RGB", (SHEET_WIDTH, height), "white")
    y = 0
    for name, picture in scaled.items():
        ImageDraw.Draw(sheet).text((4, y + 2), name, fill="black")
        sheet.paste(picture, (0, y + LABEL_HEIGHT))
        y += picture.height + LABEL_HEIGHT + ROW_GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(200).save(path, optimize=True)
