"""The host's cheapest preview."""

from torch import Tensor


def cheap_approximation(sample: Tensor) -> Tensor:
    """Three channels from four latent ones."""
    return sample[..., :3, :, :] / 10
