"""Draws pictures of several ratios with their captions into a folder, for `python -m lib_instantas train-ratios`.

The renderer keeps one horizon and one thing on canvases of any ratio, so that tall and wide truth is free.
"""

from pathlib import Path

from PIL import Image

from small_world.renderer import render
from small_world.scene import describe, random_scene

SIZES = (
    (256, 256), (224, 288), (288, 224), (192, 352), (352, 192), (160, 416), (416, 160), (128, 512), (512, 128),
)  # fmt: skip
"""(height, width) in pixels: about the area of 256x256, up to 1:4."""


def draw(folder: Path, each: int, first_seed: int = 10**6) -> int:
    """Draw `each` scenes of every size; return how many pictures there are."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = first_seed
    for size in SIZES:
        for _ in range(each):
            scene = random_scene(seed)
            file = folder / f"{size[1]}x{size[0]}-{seed}.png"
            if not file.exists():
                Image.fromarray(render(scene, size).pixels).save(file)
            file.with_suffix(".txt").write_text(describe(scene, seed), encoding="utf-8")
            seed += 1
    return seed - first_seed
