"""The loaded model, without loading one."""

from types import SimpleNamespace

model_data = SimpleNamespace(sd_model=None)
