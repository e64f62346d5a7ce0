"""The papers' tables on Small World, side by side with the papers: `python -m benchmarks.tables`."""
