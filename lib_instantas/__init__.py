"""InstantAS: pictures of any size from a diffusion model that knows only one."""

__version__ = "0.1.0"
