"""The fast ways of computing learn the same as float32 in the plain memory format, operator by operator."""

import statistics

import pytest
import tiny
import torch
from torch import Tensor

from shoestring.core.budget import Budget
from shoestring.core.device import Engine, Machine
from shoestring.data.dataset import Images
from shoestring.data.embedded_digits import read_embedded_digits
from shoestring.data.loader import batches
from shoestring.data.mnist import MNISTDigits
from shoestring.metrics.classification import predictions
from shoestring.model.build import build
from shoestring.model.classifier import Classifier
from shoestring.model.train_state import State
from shoestring.nets.mixconv import MixConvNet
from shoestring.optim.configs import Adam
from shoestring.optim.lr_schedule import OneCycle
from shoestring.recipes import RECIPES
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.classification import Classify
from shoestring.training.step import TrainStep

PLAIN = Engine(precision="float32", channels_last=False)
SYSTEMS = ("addnist-effnet", "cifar100-resnet", "cifar100-dcgan-44", "cifar100-dcgan-64")


def losses(name: str, engine: Engine, steps: int = 4) -> Tensor:
    """(steps, facts): every fact that a training of a system logs at its first steps."""
    recipe = tiny.changed(RECIPES[name](), {"batch_size": 16, "optimiser__learning_rate": 1e-4})
    machine = Machine.choose(engine, "cpu")
    with machine.running():
        state = State.start(recipe, build(recipe).nets, machine)
        take_step = TrainStep(recipe, state, machine, tiny.patterns(recipe.data))
        return torch.stack([torch.stack([fact.float() for fact in take_step().values()]) for _ in range(steps)])


@pytest.mark.parametrize("name", SYSTEMS)
def test_memory_format_changes_rounding_only(name: str) -> None:
    plain, fast = losses(name, PLAIN), losses(name, Engine(precision="float32"))
    assert torch.allclose(fast, plain, rtol=2e-3, atol=2e-3)
    assert plain.std(0).max() > 0.02  # the curve moves by far more than that


@pytest.mark.parametrize("name", SYSTEMS)
def test_bfloat16_stays_near_float32_step_by_step(name: str) -> None:
    plain, fast = losses(name, PLAIN), losses(name, Engine(precision="bfloat16"))
    assert not torch.equal(plain, fast)
    assert torch.allclose(fast, plain, rtol=0.05, atol=0.0626)  # an accuracy may differ by one image of 16


def digits(seed: int, engine: Engine) -> Recipe:
    return Recipe(
        name="digits",
        budget=Budget(parameters=10_000, steps=90),
        data=MNISTDigits(tune=0),
        net=MixConvNet(widths=(8, 16), hidden=(8, 16), depths=(1, 1)),
        task=Classify(),
        optimiser=Adam(learning_rate=0.01),
        schedule=OneCycle(),
        batch_size=32,
        seed=seed,
        engine=engine,
    )


def embedded(part: str) -> Images:
    found = read_embedded_digits(part)
    halved = torch.from_numpy(found.images)[:, None, ::2, ::2].contiguous()
    return Images(halved, torch.from_numpy(found.labels), part)


def final_accuracy(recipe: Recipe) -> float:
    machine = Machine.choose(recipe.engine, "cpu")
    state = State.start(recipe, build(recipe).nets, machine)
    train, test = (embedded(part) for part in ("train", "test"))
    take_step = TrainStep(recipe, state, machine, train)
    for _ in range(recipe.budget.steps):
        take_step()
    model = Classifier(recipe, state.nets.eval(), machine)
    given = predictions(model.logits_of_normalised, batches(test, recipe.data, 500, machine.device))
    return float((given.logits.argmax(1) == given.labels).float().mean())


def test_final_accuracy_of_three_seeds_is_that_of_float32_within_the_noise_of_seeds() -> None:
    plain = [final_accuracy(digits(seed, PLAIN)) for seed in range(3)]
    fast = [final_accuracy(digits(seed, Engine(precision="bfloat16"))) for seed in range(3)]
    assert min(plain) > 0.7
    noise = max(statistics.stdev(plain), statistics.stdev(fast), 0.005)
    assert abs(statistics.mean(plain) - statistics.mean(fast)) < 3 * noise


def test_the_deterministic_engine_gives_the_same_bits_twice() -> None:
    once, again = (losses("cifar100-resnet", Engine(deterministic=True)) for _ in range(2))
    assert torch.equal(once, again)
