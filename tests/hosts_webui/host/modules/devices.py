"""Devices and autocast."""

from contextlib import nullcontext as autocast

__all__ = ["autocast"]
