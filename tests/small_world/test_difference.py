"""The LoRA of a difference, on the model before, is the model after."""

import torch
from torch import nn

from lib_instantas.hosts.checkpoints import load_pipeline
from lib_instantas.hosts.diffusers_lora import read_lora
from small_world import CHECKPOINT
from small_world.checkpoint import Model, load, save
from small_world.difference import write


def test_the_model_before_with_the_lora_answers_as_the_model_after(tmp_path):
    model = load(CHECKPOINT)
    torch.manual_seed(0)
    for path, module in model.painter.unet.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)) and ("transformer_blocks" in path or "in_layers" in path):
            rows, columns = module.weight.flatten(1).shape
            change = torch.randn(rows, 2) @ torch.randn(2, columns) / columns
            module.weight.data += 0.2 * change.reshape(module.weight.shape)
    taught = tmp_path / "taught.safetensors"
    save(Model(model.autoencoder, model.painter, model.tokenizer), taught)
    write(CHECKPOINT, taught, tmp_path / "lora.safetensors", rank=4)

    before, after = (load_pipeline(file).unet for file in (CHECKPOINT, taught))
    lora = read_lora(tmp_path / "lora.safetensors", before, "compose_tiles_lora")
    assert len(lora.layers) == 117
    asked = torch.randn(1, 4, 32, 32), torch.tensor([300]), torch.randn(1, 77, 128)
    with torch.no_grad():
        plain, wanted = before(*asked).sample, after(*asked).sample
        with lora.on(before):
            with_it = before(*asked).sample
    assert float((with_it - wanted).norm()) < 0.03 * float((plain - wanted).norm())
