import math

import pytest

from shoestring.report.wording import ABSENT, duration, integer, interval, large, number, percent, plain, points


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.8123, "1.812"), (50.283, "50.28"), (12345.6, "12,346"), (0.0212, "0.02120"), (0, "0"), (2e-9, "2.000e-09"),
     (-3.14159, "-3.142"), (math.nan, "nan"), (None, ABSENT), (True, ABSENT)],
)  # fmt: skip
def test_number_keeps_four_significant_digits_and_whole_parts(value, text):
    assert number(value) == text


def test_fractions_are_percent_and_their_differences_points():
    assert percent(0.494) == "49.4 %"
    assert percent(0.99364, 2) == "99.36 %"
    assert points(0.0271) == "+2.7 points"
    assert points(-0.004) == "−0.4 points"


def test_interval_has_the_unit_of_its_measure():
    assert interval([0.484, 0.504], in_percent=True) == "48.4 to 50.4 %"
    assert interval([1.88, 1.94]) == "1.880 to 1.940"
    assert interval(None) == ABSENT


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
