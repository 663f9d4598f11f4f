import pytest

from shoestring.core.budget import Budget, DeviceLimits, Layer
from shoestring.core.errors import OverBudgetError, RecipeError, ShoestringError

TABLE = [
    Layer("classifier.0", "Conv2d 3x3", (16, 28, 28), 432, 338_688),
    Layer("classifier.1", "Linear", (20,), 1_068, 640),
]


def test_a_net_within_the_budget_is_admitted_with_its_sum() -> None:
    assert Budget(parameters=2_000, steps=1).admit(TABLE) == 1_500
    assert Budget(parameters=1_500, steps=1).admit(TABLE) == 1_500  # the limit itself is allowed


def test_one_parameter_too_many_is_refused_with_the_table_and_by_how_much() -> None:
    with pytest.raises(OverBudgetError) as refused:
        Budget(parameters=1_499, steps=1).admit(TABLE)
    message = str(refused.value)
    assert "the net has 1,500 parameters, 1 over the budget of 1,499" in message
    rows = [line.split() for line in message.splitlines()[1:3]]
    assert rows == [["classifier.0", "Conv2d", "3x3", "432"], ["classifier.1", "Linear", "1,068"]]
    assert "--budget.parameters 1500" in message


def test_steps_are_taken_up_to_the_limit_and_not_past_it() -> None:
    budget = Budget(parameters=1, steps=3)
    step = 0
    for expected in (1, 2, 3):
        step = budget.take_step(step)
        assert step == expected
    for spent in (3, 4, 1_000):
        with pytest.raises(OverBudgetError, match="all 3 steps of the budget are spent"):
            budget.take_step(spent)


def test_net_calls_of_a_sample_are_limited_only_where_the_budget_says() -> None:
    assert Budget(parameters=1, steps=1).admit_nfe(10**6) == 10**6
    budget = Budget(parameters=1, steps=1, nfe=100)
    assert budget.admit_nfe(100) == 100
    with pytest.raises(OverBudgetError, match=r"101 net calls, 1 over the budget of 100.*--budget.nfe 101"):
        budget.admit_nfe(101)


@pytest.mark.parametrize("field", ["parameters", "steps", "nfe"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "many"])
def test_limits_are_positive_whole_numbers(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Budget.model_validate({"parameters": 1, "steps": 1} | {field: value})


def test_a_budget_is_frozen() -> None:
    budget = Budget(parameters=1, steps=1)
    with pytest.raises(ValueError, match="frozen"):
        budget.steps = 2  # type: ignore[misc]


def test_what_users_can_mend_is_one_family_of_errors() -> None:
    assert issubclass(OverBudgetError, ShoestringError)
    assert issubclass(RecipeError, ShoestringError)
    assert not issubclass(ShoestringError, ValueError)  # pydantic would swallow it into its own


def test_what_a_device_must_have_is_limited_only_where_the_budget_says() -> None:
    cost = DeviceLimits(weight_bytes=97_000, activation_bytes=33_344, multiply_adds=15_000_000)
    assert not Budget(parameters=1, steps=1).limits_device
    assert Budget(parameters=1, steps=1).admit_on_device(cost) == cost
    exact = Budget(parameters=1, steps=1, weight_bytes=97_000, activation_bytes=33_344, multiply_adds=15_000_000)
    assert exact.limits_device
    assert exact.admit_on_device(cost) == cost
    with pytest.raises(OverBudgetError) as refused:
        exact.replace(activation_bytes=33_343, multiply_adds=12_500_000).admit_on_device(cost)
    assert "33,344 activation bytes, 1 over the budget of 33,343" in str(refused.value)
    assert "15,000,000 multiply adds, 2,500,000 over" in str(refused.value)
    assert "weight bytes" not in str(refused.value)
