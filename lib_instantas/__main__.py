"""`python -m lib_instantas`."""

import sys

from lib_instantas.cli.main import main

sys.exit(main())
