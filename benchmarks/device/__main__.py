"""`python -m benchmarks.device [--json]`: see `copies`."""

from benchmarks.device.copies import main

if __name__ == "__main__":
    main()
