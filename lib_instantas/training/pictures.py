"""A folder of pictures to learn from, each with its caption in a text file of the same name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_instantas.settings import SettingsError
from lib_instantas.tiling import Size
from lib_instantas.training.ratios import nearest_size

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FEWEST = 8
"""Pictures below which there is nothing to learn from."""

NAMED = 20
"""Problems that a message names one by one."""


@dataclass(frozen=True)
class Example:
    """A picture file, its caption, and the size (height, width in image pixels) that it is learnt at."""

    file: Path
    caption: str
    size: Size

    def picture(self) -> Image:
        """The picture at that size, cropped in the middle where its ratio differs."""
        from PIL import Image, ImageOps

        with Image.open(self.file) as opened:
            upright = (ImageOps.exif_transpose(opened) or opened).convert("RGB")
        return ImageOps.fit(upright, (self.size[1], self.size[0]), Image.Resampling.LANCZOS)


def examples_in(folder: Path, sizes: Sequence[Size]) -> list[Example]:
    """All pictures of a folder and the folders in it, in the order of their names.

    Raises SettingsError that names everything wrong with it: pictures that cannot be read, have no caption or are
    smaller than they are to be learnt at, too few of them, or all of one ratio.
    """
    if not folder.is_dir():
        raise SettingsError(f"images must be a folder, got {str(folder)!r}")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS)
    found: list[Example] = []
    problems: list[str] = []
    for file in files:
        try:
            found.append(_example(file, sizes))
        except ValueError as reason:
            problems.append(f"{file.relative_to(folder)}: {reason}")
    problems += _problems_together(found, len(files), sizes)
    if problems:
        raise SettingsError(f"images in {folder} cannot be learnt from:\n" + "\n".join(_shortened(problems)))
    return found


def _example(file: Path, sizes: Sequence[Size]) -> Example:
    height, width = _size(file)
    size = nearest_size((height, width), sizes)
    if height < size[0] or width < size[1]:
        raise ValueError(f"it has {width}x{height} pixels, too few for its ratio's {size[1]}x{size[0]}")
    return Example(file, _caption(file), size)


def _size(file: Path) -> Size:
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            picture = ImageOps.exif_transpose(opened) or opened
            picture.load()
            return picture.height, picture.width
    except Exception as reason:  # Pillow raises what it likes for a broken file
        raise ValueError(f"it cannot be read ({reason})") from None


def _caption(file: Path) -> str:
    text = file.with_suffix(".txt")
    if not text.is_file():
        raise ValueError(f"it has no caption, {text.name} is missing")
    try:
        caption = " ".join(text.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as reason:
        raise ValueError(f"its caption {text.name} cannot be read ({reason})") from None
    if not caption:
        raise ValueError(f"its caption {text.name} is empty")
    return caption


def _problems_together(found: Sequence[Example], files: int, sizes: Sequence[Size]) -> Iterator[str]:
    if files < FEWEST:
        yield f"there must be at least {FEWEST} pictures ({', '.join(ENDINGS)}), there are {files}"
    elif len({example.size for example in found}) == 1 and len(sizes) > 1:
        height, width = found[0].size
        yield f"all pictures are nearest to one ratio, that of {width}x{height}: there is no other to learn"


def _shortened(problems: list[str]) -> list[str]:
    more = len(problems) - NAMED
    return problems if more <= 0 else [*problems[:NAMED], f"and {more} more"]
