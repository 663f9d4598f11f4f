import pytest
import torch

from shoestring.core.device import Machine
from shoestring.model.build import build
from shoestring.model.train_state import State
from shoestring.nets.digit_sum import DigitSum
from shoestring.recipes import RECIPES
from shoestring.recipes.recipe import Recipe

COUNTS = {
    "addnist-best": 97_228,
    "addnist-best-small": 24_661,
    "cifar100-best": 98_419,
    "cifar100-best-small": 24_865,
    "cifar100-plain": 97_732,
    "cifar100-mixconv": 97_652,
    "addnist-quick": 51_706,
}


@pytest.mark.parametrize(("name", "parameters"), COUNTS.items())
def test_parameters_are_exact_and_within_the_budget(name: str, parameters: int) -> None:
    recipe = RECIPES[name]()
    assert build(recipe).parameters == parameters <= recipe.budget.parameters
    assert recipe.budget.parameters == (25_000 if name.endswith("small") else 100_000)


@pytest.mark.parametrize("name", COUNTS)
def test_recipe_is_the_same_after_json(name: str) -> None:
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_budgets_are_those_of_the_papers() -> None:
    for name in set(COUNTS) - {"addnist-quick"}:
        assert RECIPES[name]().budget.steps == 10_000


def test_running_mean_is_that_of_all_weights_and_norms_so_far() -> None:
    """By its recursion in float64, with the decay that rises to the asked one; batch norm's means are averaged too."""
    recipe = RECIPES["addnist-quick"]().replace(ema=(0.8,), net=DigitSum(width=2))
    machine = Machine(torch.device("cpu"), torch.float32, channels_last=True, graphs=False, compile=False)
    state = State.start(recipe, build(recipe).nets, machine)
    names = [name for name, tensor in state.nets.state_dict().items() if tensor.is_floating_point()]
    means = {name: state.nets.state_dict()[name].double() for name in names}
    for step in range(1, 41):
        state.step = step
        for name in names:
            state.nets.state_dict()[name].fill_(float(step % 7) + len(name) % 3)
        state.update_ema()
        decay = min(0.8, (1 + step) / (10 + step))
        for name in names:
            means[name] = decay * means[name] + (1 - decay) * state.nets.state_dict()[name].double()
    found = state.ema_or_raw_nets().state_dict()
    assert any("running_var" in name for name in names)
    for name in names:
        torch.testing.assert_close(found[name].double(), means[name], rtol=1e-5, atol=1e-6)
