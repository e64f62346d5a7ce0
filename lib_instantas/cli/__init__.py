"""The command line: `python -m lib_instantas plan | generate | serve`."""
