import itertools

import pytest
import torch

from shoestring.core.rng import generator
from shoestring.sweeping.importance import main_effect, quantile_groups


def test_a_field_that_decides_all_explains_all():
    assert main_effect("aabb", [1.0, 1.0, 3.0, 3.0]) == 1
    assert main_effect("abab", [1.0, 1.0, 3.0, 3.0]) == 0


def test_two_fields_of_a_grid_share_the_variance_as_their_effects():
    cells = list(itertools.product(range(10), range(10)))
    values = [3.0 * first + 4.0 * second for first, second in cells]
    first = main_effect([one for one, _ in cells], values)
    second = main_effect([two for _, two in cells], values)
    # In a large grid 9 and 16 of 25 parts; epsilon squared takes off what as many groups of chance would explain.
    assert first == pytest.approx(0.36 - 9 / 90 * 0.64)
    assert second == pytest.approx(0.64 - 9 / 90 * 0.36)


def test_chance_explains_nothing_on_average():
    numbers = torch.randn(400, 12, generator=generator(0, "importance"), dtype=torch.float64).tolist()
    groups = [0, 1, 2] * 4
    found = [main_effect(groups, values) for values in numbers]
    # Where it is not cut at 0, its mean over random values is 0: that of eta squared would be 2 / 11.
    uncut = [_epsilon_squared(groups, values) for values in numbers]
    assert abs(sum(uncut) / len(uncut)) < 0.03
    assert found == pytest.approx([max(value, 0.0) for value in uncut], abs=1e-12)


def _epsilon_squared(groups, values):
    given = torch.tensor(values, dtype=torch.float64)
    centre = given.mean()
    between = sum(
        len(inside) * (inside.mean() - centre) ** 2
        for inside in (given[torch.tensor(groups) == label] for label in sorted(set(groups)))
    )
    all_of_it = ((given - centre) ** 2).sum()
    within = (all_of_it - between) / (len(values) - len(set(groups)))
    return float((between - (len(set(groups)) - 1) * within) / all_of_it)


@pytest.mark.parametrize(
    ("groups", "values"), [("ab", [1.0, 2.0]), ("aaa", [1.0, 2.0, 3.0]), ("aab", [2.0, 2.0, 2.0]), ("", [])]
)
def test_what_cannot_be_known_is_none(groups, values):
    assert main_effect(groups, values) is None


def test_numbers_fall_into_groups_of_equal_size_in_order():
    assert quantile_groups([5.0, 1.0, 2.0, 7.0, 3.0, 4.0, 6.0, 8.0]) == [2, 0, 0, 3, 1, 1, 2, 3]
    assert quantile_groups([1.0, 1.0, 1.0, 1.0]) == [1, 1, 1, 1]
    assert quantile_groups([1.0, 2.0]) == [0, 0]
