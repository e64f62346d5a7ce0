"""ADetailer itself behind the hires pass and the upscaling, with a detector that always sees one face, at one place.

ADETAILER_DIR names a checkout of the extension; ultralytics must be there in the host's Python. The detector is a YOLO
network without any layer that was trained: it has one class and answers every picture with the same boxes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client import Client
from infotexts import done
from webui import EXTENSION, FULL_PRECISION, PROBE, WebUI, home, python_of, running

DETECTOR = "one_face.pt"
HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Nearest", "denoising_strength": 0.5, "width": 192}
HIRES |= {"height": 128, "steps": 4}
UPSCALE = {"enabled": True, "preset": "Upscale", "tile": 128}

MAKE_DETECTOR = """
import sys
import torch
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel

network = DetectionModel("yolov8n.yaml", nc=1, verbose=False)
head = network.model[-1]
for level, (boxes, classes) in enumerate(zip(head.cv2, head.cv3)):
    for last in (boxes[-1], classes[-1]):
        torch.nn.init.zeros_(last.weight)
    sides = torch.full((4, head.reg_max), -20.0)
    sides[:, 2] = 20.0  # every box reaches two cells to each side
    boxes[-1].bias.data = sides.flatten()
    classes[-1].bias.data.fill_(2.0 if level == 2 else -20.0)  # and only large cells see a face
model = YOLO("yolov8n.yaml")
model.model = network
network.names = {0: "face"}
torch.save({"model": network, "train_args": {}, "date": "", "version": ""}, sys.argv[1])
"""


def adetailer_home() -> Path:
    """Where the neighbour's extension lies: ADETAILER_DIR, or its usual place in the WebUI."""
    return Path(os.environ.get("ADETAILER_DIR", home() / "extensions" / "adetailer")).expanduser()


@pytest.fixture(scope="module")
def client(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    if not (adetailer_home() / "adetailer").is_dir():
        pytest.skip(f"no ADetailer in {adetailer_home()}: set ADETAILER_DIR to the folder of its extension")
    data = tmp_path_factory.mktemp("adetailer")
    detector = data / "models" / "adetailer" / DETECTOR
    detector.parent.mkdir(parents=True)
    command = [python_of(home()), "-c", MAKE_DETECTOR, str(detector)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr[-4000:]
    extensions = {"instantas": EXTENSION, "probe": PROBE, "adetailer": adetailer_home()}
    flags = (*FULL_PRECISION, "--ad-no-huggingface")
    with running(WebUI(data, extensions, models, flags=flags)) as webui:
        webui.client.txt2img(width=64, height=64, steps=1)
        yield webui.client


def scripts(settings: dict[str, Any], detail: bool = True) -> dict[str, Any]:
    face = {"ad_model": DETECTOR, "ad_confidence": 0.5, "ad_mask_k": 1, "ad_denoising_strength": 0.5}
    args = {"InstantAS": {"args": [settings]}}
    return {"alwayson_scripts": args | ({"ADetailer": {"args": [True, False, face]}} if detail else {})}


def assert_one_face_differs(detailed: np.ndarray, plain: np.ndarray) -> None:
    """What differs is one box of about 130 pixels, a part of the picture."""
    assert detailed.shape == plain.shape
    rows, columns = np.nonzero((detailed != plain).any(2))
    height, width = (np.ptp(places) + 1 for places in (rows, columns))
    assert 60 < height < 250
    assert 60 < width < 250


def test_hires_then_upscaled_then_detailed_in_one_generate(client: Client) -> None:
    plain = client.txt2img(None, **HIRES, **scripts(UPSCALE, detail=False))
    made = client.txt2img(None, **HIRES, **scripts(UPSCALE))
    assert made.images[0].size == (576, 384)
    assert_one_face_differs(made.pixels, plain.pixels)
    assert done(made) == done(plain)
    assert "; upscaling: " in done(made)
    assert "ADetailer model" in made.infotext


def test_an_upscaled_picture_is_detailed(client: Client) -> None:
    given = client.txt2img(width=288, height=192).images[0]
    fields = {"denoising_strength": 0.3, "steps": 6}
    plain = client.img2img(given, None, **fields, **scripts(UPSCALE, detail=False))
    made = client.img2img(given, None, **fields, **scripts(UPSCALE))
    assert made.images[0].size == (576, 384)
    assert_one_face_differs(made.pixels, plain.pixels)
    assert done(made) == done(plain)
