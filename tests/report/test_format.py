import math

import pytest

from shoestring.report.format import ABSENT, duration, fixed, integer, interval, large, number, percent, plain, points


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.8123, "1.812"), (50.283, "50.28"), (12345.6, "12,346"), (0.0212, "0.02120"), (0, "0"), (2e-9, "2.000e-09"),
     (-3.14159, "-3.142"), (0.00002, "2.000e-05"), (-0.0, "0"), (math.nan, "nan"), (None, ABSENT), (True, ABSENT)],
)  # fmt: skip
def test_number_keeps_four_significant_digits_and_whole_parts(value, text):
    assert number(value) == text


def test_fractions_are_percent_and_their_differences_points():
    assert percent(0.494) == "49.4 %"
    assert percent(0.99364, 2) == "99.36 %"
    assert points(0.0271) == "+2.7 points"
    assert points(-0.004) == "−0.4 points"
    assert points(-0.0001) == "+0.0 points"


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0, "0.0 %"), (1, "100.0 %"), (0.00021, "0.021 %"), (0.99996, "99.9960 %"), (1.0000000000000002, "100.0 %"),
     (-0.00021, "-0.021 %"), (0.0005, "0.1 %"), (None, ABSENT)],
)  # fmt: skip
def test_only_none_and_all_are_0_and_100_percent(fraction, text):
    assert percent(fraction) == text


def test_fixed_decimals_are_more_where_they_would_all_be_0():
    assert [fixed(value, 3) for value in (0.5666, 0.00021, 0, -0.0, 1234.5)] == [
        "0.567", "0.00021", "0.000", "0.000", "1,234.500",
    ]  # fmt: skip


def test_interval_has_the_unit_of_its_measure():
    assert interval([0.484, 0.504], in_percent=True) == "48.4 to 50.4 %"
    assert interval([0.0202, 0.0222]) == "0.0202 to 0.0222"
    assert interval(None) == ABSENT


@pytest.mark.parametrize(
    ("bounds", "text"),
    [([0.98836, 0.99218], "0.9884 to 0.9922"), ([38.16, 45.13], "38.2 to 45.1"), ([4_123.4, 9_876.6], "4,123 to 9,877"),
     ([-0.000031, 0.000079], "-0.00003 to 0.00008"), ([-0.0000001, 0.0079], "0.0000 to 0.0079"),
     ([2e-9, 4.1e-9], "2.0e-09 to 4.1e-09"), ([0.5, 0.5], "0.5000 to 0.5000"), ([1.0, math.inf], "1.000 to inf")],
)  # fmt: skip
def test_an_interval_has_as_many_digits_as_its_width_justifies(bounds, text):
    assert interval(bounds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7.25, "7.2 s"), (59, "59 s"), (83, "1 min 23 s"), (3_750, "1 h 02 min"), (200_000, "2 d 07 h"), (None, ABSENT)],
)
def test_duration_has_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


def test_counts():
    assert integer(10_000) == "10,000"
    assert integer(None) == ABSENT
    assert large(13_240_000) == "13.2 M"
    assert large(999_900) == "1,000 k"
    assert large(12) == "12"


def test_plain_values_of_a_recipe():
    assert plain([0.9, 0.999]) == "0.9, 0.999"
    assert plain(None) == "none"
    assert plain(False) == "no"
    assert plain(99_364) == "99,364"
    assert plain({"kind": "adam", "betas": [0.5, 0.999]}) == "kind adam, betas 0.5, 0.999"
