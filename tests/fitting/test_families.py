"""The largest net of a family that limits admit."""

import pytest

from shoestring.core.errors import OverBudgetError
from shoestring.fitting.families import FAMILIES, FINENESS, largest_factor


@pytest.mark.parametrize("limit", [1 / FINENESS, 0.5, 1.0, 2.3, 40.0])
def test_bisection_finds_the_largest_that_is_admitted(limit: float) -> None:
    asked: list[float] = []

    def admits(factor: float) -> bool:
        asked.append(factor)
        return factor <= limit

    assert largest_factor(admits) == int(limit * FINENESS) / FINENESS
    assert len(asked) <= 20


def test_what_admits_nothing_is_refused() -> None:
    with pytest.raises(OverBudgetError):
        largest_factor(lambda factor: False)


@pytest.mark.parametrize(
    ("size", "basic", "separable"), [(28, 1, 2), (32, 1, 2), (48, 2, 4), (64, 2, 4), (96, 4, 8), (128, 4, 8)]
)
def test_strides_bring_images_to_about_the_size_of_the_first_stage(size: int, basic: int, separable: int) -> None:
    assert FAMILIES["basic"].stem_stride(size) == basic
    assert FAMILIES["separable"].stem_stride(size) == separable


def test_nets_grow_with_their_factor() -> None:
    for family in FAMILIES.values():
        counts = [
            sum(p.numel() for p in family.net(factor, 2).build((3, 32, 32), 10).parameters())
            for factor in (0.25, 0.5, 1.0, 1.5)
        ]
        assert counts == sorted(counts)
        assert len(set(counts)) == 4
