"""The fit behind the cost model."""

import pytest

from benchmarks.cost import SIDES, fit


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_the_fit_finds_the_share_that_made_the_times(share: float) -> None:
    areas = {side: (side / 64) ** 2 for side in SIDES}
    times = {side: 3.3 * ((1 - share) * area + share * area**2) for side, area in areas.items()}
    found = fit(times)
    assert found["quadratic"] == pytest.approx(share, abs=1e-9)
    assert found["worst"] < 1e-9
