"""Samplers that count timesteps."""

from types import SimpleNamespace

samplers_data_timesteps = [SimpleNamespace(name="DDIM")]
