"""What an object has of its own comes back, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

import pytest

from lib_instantas.replacing import holding, replaced


class Named:
    of_class = "class"

    def __init__(self) -> None:
        self.own = self.none = None

    @property
    def hidden(self) -> str:
        return "property"


@pytest.mark.parametrize(
    ("change", "meanwhile"),
    [
        (lambda one: replaced(one, "own", 1), {"own": 1, "none": None}),
        (lambda one: replaced(one, "of_class", 1), {"own": None, "none": None, "of_class": 1}),
        (lambda one: holding(one, {"own": 1, "of_class": 2, "unknown": 3}), {"own": 1, "none": None}),
    ],
    ids=["own", "of its class", "several"],
)
@pytest.mark.parametrize("fails", [False, True])
def test_for_a_while_an_object_has_other_attributes(
    change: Callable[[Named], AbstractContextManager[None]], meanwhile: dict[str, Any], fails: bool
) -> None:
    one, seen = Named(), []
    with suppress(InterruptedError), change(one):
        seen.append(dict(vars(one)))
        if fails:
            raise InterruptedError
    assert seen == [meanwhile]
    assert vars(one) == {"own": None, "none": None}
    assert Named.of_class == "class"


def test_a_value_is_put_past_a_property() -> None:
    one = Named()
    vars(one)["hidden"] = "below"
    with holding(one, {"hidden": "meanwhile"}):
        assert vars(one)["hidden"] == "meanwhile"
        assert one.hidden == "property"
    assert vars(one)["hidden"] == "below"
