"""Small World: drawn landscapes, and a small latent diffusion model that learnt to paint them.

The world is drawn by a program (`small_world.renderer`), so its pictures have no licence question, every
picture has a true caption, and real panoramas of any size exist to compare generated ones with. The model has
the layout of Stable Diffusion 1.x with a native size of 256x256 pixels and loads wherever such checkpoints do.
"""

from pathlib import Path

MODEL_FOLDER = Path(__file__).parent / "model"
"""Folder with the shipped weights: checkpoint, its yaml, the tokenizer/config folder and the judge."""

CHECKPOINT = MODEL_FOLDER / "small_world.safetensors"
"""The shipped checkpoint, one file in the Stable Diffusion 1.x layout."""

NATIVE = 256
"""Side of the pictures the model was trained on, in image pixels."""

RATIO_LORA = MODEL_FOLDER / "ratios.safetensors"
"""A LoRA that taught the shipped checkpoint ratios from 1:4 to 4:1, for the first of two stages."""

CLOSE_UPS_LORA = MODEL_FOLDER / "close-ups.safetensors"
"""A LoRA that taught it parts of larger scenes, for the second of two stages."""
