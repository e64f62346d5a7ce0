"""Devices and autocast."""

from contextlib import nullcontext as autocast

import torch

device = cpu = torch.device("cpu")

__all__ = ["autocast", "cpu", "device"]
