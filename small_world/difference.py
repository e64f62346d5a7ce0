"""What a further training changed in the noise predictor, as a LoRA: of each layer's change the nearest of a rank."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from small_world.checkpoint import load
from small_world.unet import UNet

RANK = 16
LEFT_OUT = ("time_embed.", "input_blocks.0.", "out.")
"""How layers begin that LoRAs leave alone, as they do `emb_layers`: those of the time, the first and the last."""


def low_rank(base: UNet, taught: UNet, rank: int = RANK) -> dict[str, Tensor]:
    """Return kohya's names and fp16 weights of the difference, each layer's nearest of this rank (Eckart, Young 1936).

    What changed in biases and normalisations is not in it.
    """
    weights: dict[str, Tensor] = {}
    for path, module in base.named_modules():
        if not isinstance(module, (nn.Linear, nn.Conv2d)) or path.startswith(LEFT_OUT) or "emb_layers" in path:
            continue
        changed = taught.get_parameter(f"{path}.weight") - module.weight
        ends = (1, 1) if module.weight.ndim == 4 else ()
        left, sizes, right = torch.linalg.svd(changed.detach().flatten(1).float(), full_matrices=False)
        root = sizes[:rank].sqrt()
        name = f"lora_unet_{path.replace('.', '_')}"
        weights[f"{name}.lora_down.weight"] = (root[:, None] * right[:rank]).reshape(-1, *changed.shape[1:]).half()
        weights[f"{name}.lora_up.weight"] = (left[:, :rank] * root).reshape(-1, len(root), *ends).half()
        weights[f"{name}.alpha"] = torch.tensor(float(len(root))).half()
    return {name: value.contiguous() for name, value in weights.items()}


def write(base: Path, taught: Path, output: Path, rank: int = RANK) -> None:
    """Write the difference of two checkpoints of Small World as a LoRA file."""
    weights = low_rank(load(base).painter.unet, load(taught).painter.unet, rank)
    save_file(weights, output, metadata={
        "ss_base_model_version": "sd_v1", "ss_v2": "False", "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank), "ss_network_alpha": str(rank),
        "ss_network_args": f'{{"conv_dim": "{rank}", "conv_alpha": "{rank}"}}',
    })  # fmt: skip
