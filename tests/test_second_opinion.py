"""The second judge: the network is a ResNet-50, and imgsim's weights tell Small World's pictures apart."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from benchmarks import second_opinion
from benchmarks.outside_judge import drawn
from benchmarks.second_opinion import INPUT, MEAN, SPREAD, embed


def _named_as_in_the_package(name: str) -> str:
    name = name.replace("embedder.embedder.convolution", "conv1").replace("embedder.embedder.normalization", "bn1")
    name = re.sub(r"^encoder\.stages\.(\d)\.layers\.", lambda found: f"layer{int(found[1]) + 1}.", name)
    name = re.sub(r"layer\.(\d)\.convolution", lambda found: f"conv{int(found[1]) + 1}", name)
    name = re.sub(r"layer\.(\d)\.normalization", lambda found: f"bn{int(found[1]) + 1}", name)
    return name.replace("shortcut.convolution", "downsample.0").replace("shortcut.normalization", "downsample.1")


def test_the_network_is_a_resnet_50(monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    network = transformers.ResNetModel(transformers.ResNetConfig()).eval()
    for name, value in network.named_buffers():
        if "running" in name:
            value.copy_(torch.rand_like(value) + 0.5)
    weights: dict[str, Tensor] = {_named_as_in_the_package(name): one for name, one in network.state_dict().items()}
    weights |= {"fc.weight": torch.randn(768, 2048) / 100, "fc.bias": torch.randn(768)}
    monkeypatch.setattr(second_opinion, "_weights", lambda: weights)
    pictures = torch.rand(1, 3, INPUT, INPUT)
    shown = (pictures - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]
    with torch.no_grad():
        pooled = network(shown).pooler_output.flatten(1)
        expected = torch.tanh(pooled @ weights["fc.weight"].T + weights["fc.bias"])
    assert torch.allclose(embed(pictures), expected, atol=1e-4)


@pytest.mark.skipif(not second_opinion.is_here(), reason="imgsim is not installed")
def test_its_weights_know_a_picture_again_when_a_part_of_it_is_cut_out() -> None:
    pictures, _ = drawn(6)
    features = embed(torch.cat([pictures[..., :192, :192], pictures[..., 32:224, 32:224]]))
    nearest = torch.cdist(features[:6], features[6:]).argmin(1)
    assert torch.equal(nearest, torch.arange(6))
