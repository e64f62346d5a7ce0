"""What a card would wait for, counted on one that is not there: `python -m benchmarks.device`."""
