import math

import pytest

from shoestring.core.errors import RecipeError
from shoestring.sweeping.space import Choices, Range, choices, flattened, nested, number_range


def test_words_of_the_command_line_become_values():
    assert choices("batch_size", "64,128") == Choices(("batch_size",), ((64,), (128,)))
    assert choices("optimiser.weight-decay", "1e-5,.5").rows == ((1e-5,), (0.5,))
    assert choices("augment.horizontal_flip", "true,False").rows == ((True,), (False,))
    assert choices("net", "basic,my_net.py:Net").rows == (("basic",), ("my_net.py:Net",))
    assert choices("cadence.log", "none,5").rows == ((None,), (5,))


def test_a_list_is_taken_as_it_is_and_a_value_may_be_a_list():
    assert choices("optimiser.betas", "[[0.5, 0.999], [0.9, 0.999]]").points() == [
        {"optimiser.betas": [0.5, 0.999]},
        {"optimiser.betas": [0.9, 0.999]},
    ]
    assert choices("batch_size", [1, 2]) == choices("batch_size", "1,2")


def test_several_fields_change_together():
    both = choices("optimiser.learning_rate, schedule.start", [[0.004, 0.25], [0.001, 0.4]])
    assert both.points() == [
        {"optimiser.learning_rate": 0.004, "schedule.start": 0.25},
        {"optimiser.learning_rate": 0.001, "schedule.start": 0.4},
    ]
    assert both.name == "optimiser.learning_rate,schedule.start"


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("batch_size", "", "no values to try"),
        ("batch_size", 5, "no values to try"),
        ("batch_size", [], "no values to try"),
        ("batch_size", "64,64", "64 is there twice"),
        ("a,b", [[1, 2], [3]], "a list of 2 values"),
        ("a,b", "1,2", "a list of 2 values"),
    ],
)
def test_values_that_are_none_are_refused(name, values, said):
    with pytest.raises(RecipeError, match=said):
        choices(name, values)


def test_a_range_is_of_whole_numbers_if_both_ends_are():
    assert number_range("a", "8..64") == Range(("a",), 8, 64, False, True)
    assert number_range("a", "1e-4..1e-2:log") == Range(("a",), 1e-4, 1e-2, True, False)
    assert number_range("a", "-1..0.5") == Range(("a",), -1, 0.5)
    assert number_range("a.b-c", "1..2").name == "a.b_c"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2..1", "empty"),
        ("1..1", "empty"),
        ("0..1:log", "above 0"),
        *((text, "no range") for text in ("1", "a..b", "1..2:lag", 5, "1..inf", "true..2")),
    ],
)
def test_a_range_that_is_none_is_refused(text, said):
    with pytest.raises(RecipeError, match=said):
        number_range("a", text)


def test_draws_reach_both_ends_evenly_on_their_scale():
    places = [(index + 0.5) / 4000 for index in range(4000)]
    whole = [number_range("a", "1..4").draw(place)["a"] for place in places]
    assert {number: whole.count(number) for number in whole} == {1: 1000, 2: 1000, 3: 1000, 4: 1000}
    assert all(isinstance(number, int) for number in whole)
    logarithmic = sorted(number_range("a", "1e-4..1e-2:log").draw(place)["a"] for place in places)
    assert math.isclose(logarithmic[2000], 1e-3, rel_tol=2e-3)
    assert (logarithmic[0], logarithmic[-1]) == pytest.approx((1e-4, 1e-2), rel=1e-3)
    drawn = [choices("a", "1,2,3,4").draw(place)["a"] for place in places]
    assert drawn == whole


def test_drawn_numbers_have_four_digits_and_stay_inside():
    axis = number_range("a", "0.123456..0.123459")
    assert {axis.draw(place)["a"] for place in (0.0, 0.5, 0.999)} == {0.123459}  # not 0.1235, which lies outside
    assert number_range("a", "1e-4..1e-2").draw(0.123456789)["a"] == 0.001322


def test_dotted_and_nested_are_inverse():
    values = {"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, "f": {}}
    assert flattened(values) == {"a.b.c": 1, "a.d": [1, {"e": 2}], "f": {}}
    assert nested(flattened(values)) == values
