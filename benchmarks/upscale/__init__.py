"""How near, how seamless and at what cost a picture is enlarged, by tool: `python -m benchmarks.upscale`."""
