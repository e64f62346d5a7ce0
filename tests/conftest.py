"""What all tests share."""

from collections.abc import Iterator
from typing import Any

import pytest
from chromium import chromium
from hypothesis import settings

# Machines that run tests beside other work are slow at times; a property is not about time.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One browser for all tests of pages: Playwright runs only once in a process."""
    with chromium() as running:
        yield running
