"""Where the host keeps its files."""

import tempfile

data_path = tempfile.gettempdir()
