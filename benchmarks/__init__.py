"""Reproducible measurements: each module runs as `python -m benchmarks.NAME [--json]`."""
