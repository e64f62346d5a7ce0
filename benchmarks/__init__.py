"""Reproducible measurements: each module or folder that has a `main` runs as `python -m benchmarks.NAME [--json]`."""
