"""Do regions show what their prompts say, and what does it cost? `python -m benchmarks.regions`."""
