"""How memory follows the tile and not the canvas: `python -m benchmarks.memory`."""
