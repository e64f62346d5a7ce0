"""Other precisions and memory modes of the host: InstantAS's pictures suffer no more from them than the host's own.

Half precision is real in types, not in speed: `half_extension` does in single precision what this CPU cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from client import Client, Made, difference
from infotexts import done
from test_generation import checkpoint
from webui import EXTENSION, FULL_PRECISION, HERE, PROBE, WebUI, running

ON = {"enabled": True}
LEFT = {"type": "rectangle", "x": 0.0, "y": 0.0, "width": 0.5, "height": 1.0}
REGIONS = {"regions": [{"shape": LEFT, "prompt": "two dogs"}]}
TILED_VAE = {"vae": "on", "vae_tile": 64}
HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Nearest", "denoising_strength": 0.7}
SDXL = checkpoint("sdxl")

Make = Callable[[Client], Made]
PICTURES: dict[str, Make] = {
    "tiles": lambda client: client.txt2img({**ON, "tile_batch": 2}, batch_size=2),
    "regions": lambda client: client.txt2img({**ON, "regions": REGIONS}),
    "alignment": lambda client: client.txt2img({**ON, "style_alignment": 0.5}),
    "dilation": lambda client: client.txt2img({**ON, "method": "ScaleCrafter"}, width=256, height=256),
    "hires, VAE in tiles": lambda client: client.txt2img({**ON, **TILED_VAE}, **HIRES),
    "SDXL, regions, VAE in tiles": lambda client: client.txt2img(
        {**ON, **TILED_VAE, "tile": 128, "regions": REGIONS}, **SDXL
    ),
}


@dataclass(frozen=True)
class Start:
    """How a host is started."""

    flags: tuple[str, ...] = FULL_PRECISION
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def in_full_precision(self) -> bool:
        """Whether only the memory is managed in another way."""
        return "full" in self.flags and not self.options


STARTS = {
    "--precision half": Start(("--precision", "half")),
    "--precision half --medvram": Start(("--precision", "half", "--medvram")),
    "--lowvram": Start((*FULL_PRECISION, "--lowvram")),
    "casts by hand": Start(()),
    "--upcast-sampling --no-half-vae": Start(("--upcast-sampling", "--no-half-vae")),
    "fp8 storage, bf16": Start(options={"fp8_storage": "Enable"}),
}


@pytest.fixture(scope="module", params=STARTS)
def started(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def other(started: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    start = STARTS[started]
    extensions = {"instantas": EXTENSION, "probe": PROBE}
    extensions |= {} if start.in_full_precision else {"half": HERE / "half_extension"}
    with running(WebUI(tmp_path_factory.mktemp("other"), extensions, models, start.flags, start.options)) as webui:
        yield webui.client


@pytest.fixture(scope="module")
def in_full(client: Client) -> Callable[[str], Made]:
    """Makes a picture of this file in full precision, each once."""
    return cache(lambda name: PICTURES[name](client))


@pytest.fixture(scope="module")
def spread(other: Client, client: Client, started: str) -> float:
    """Grey levels of 255 by which the host's own picture differs from that of its full precision."""
    found = difference(other.txt2img().images[0], client.txt2img().images[0])
    assert found > 0 or STARTS[started].in_full_precision, "the host computes in full precision, whatever its flags say"
    return found


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_those_of_full_precision(
    other: Client, started: str, in_full: Callable[[str], Made], spread: float, name: str
) -> None:
    if started.startswith("fp8") and name.startswith("SDXL"):
        pytest.skip("the host's OpenCLIP text encoder has no autocast on a CPU")
    made, expected = PICTURES[name](other), in_full(name)
    assert done(made) == done(expected)
    assert difference(made.images[-1], expected.images[-1]) <= 2 * spread
