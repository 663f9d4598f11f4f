"""Numbers that change over the steps: their values, which may, and that nothing else does."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.device import Machine
from shoestring.core.errors import RecipeError
from shoestring.core.upgrade import upgraded_overrides, upgraded_recipe
from shoestring.model.build import build
from shoestring.model.train_state import State
from shoestring.optim.lr_schedule import Ramp, StepDecay
from shoestring.recipes.recipe import Recipe
from shoestring.recipes.recipe_file import commented, write_recipe
from shoestring.sweeping.plan import recipe_at
from shoestring.training.step import TrainStep

GAN = "cifar100-gan-best"


def test_a_number_is_its_field_times_the_factor_of_the_step() -> None:
    halving = {"kind": "ramp", "start": 1, "end": 0.5, "shape": "cosine"}
    rising = {"start": 0.5, "over": [0, 0.5]}
    recipe = api.recipe(GAN, anneal={"task.r1": halving, "optimiser": {"betas": {"1": rising}}})
    last = recipe.budget.steps - 1
    assert recipe.annealed(last).task.r1 == pytest.approx(0.05)
    assert recipe.annealed(last // 2).task.r1 == pytest.approx(0.1 * (0.5 + 0.5 * (1 + math.cos(math.pi / 2)) / 2))
    assert recipe.annealed(0).optimiser.betas == pytest.approx((0, 0.495), abs=1e-4)
    assert recipe.annealed(last // 2).optimiser.betas == recipe.annealed(last).optimiser.betas == (0, 0.99)
    assert recipe.annealed(7).task.replace(r1=0.1) == recipe.task
    assert recipe.annealed(7).optimiser.replace(betas=(0, 0.99)) == recipe.optimiser
    assert recipe.annealed(7).augment is recipe.augment


def test_noise_of_paper_1_decays_as_it_says() -> None:
    recipe = api.recipe("cifar100-dcgan-44")
    for step in (0, 1_000, 49_999):
        assert recipe.annealed(step).task.instance_noise == 0.25 * 0.9997**step
    assert recipe.annealed_before_the_loss
    assert not api.recipe(GAN, anneal={"task.r1": {"end": 0.1}}).annealed_before_the_loss
    assert not api.recipe(GAN, anneal={"optimiser.betas.1": {"start": 0.9}}).annealed_before_the_loss


@pytest.mark.parametrize(
    ("anneal", "message"),
    [
        ({"task.r3": {}}, r"unknown number to anneal 'task\.r3'; did you mean 'task\.r2'"),
        ({"task.sampling.truncation": {}}, "sampling begins when the training is over"),
        ({"optimiser.learning_rate": {}}, "the recipe's own schedule"),
        ({"optimiser.iterations": {}}, "iterations is a whole number"),
        ({"augment.cutout": {}}, "cutout is a whole number"),
        ({"task.conditional": {}}, "conditional is on or off"),
        ({"data.tune": {}}, "data.tune is a whole number"),
        ({"task": {"r1": {"ned": 2}}}, r"anneal\.task\.r1\.ramp: unknown key of Ramp 'ned'; did you mean 'end'"),
        ({"task.r1": {"kind": "rmp"}}, r"'rmp'.*'ramp'"),
        ({"task.r1": {"over": [0.5, 0.5]}}, "has no length"),
        ({"task.penalty_fraction": {"end": 5}}, r"anneal at step 49,999: .*\n.*penalty_fraction: .*less than or equal"),
    ],
)
def test_what_cannot_be_annealed_is_refused(anneal: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        api.recipe(GAN, anneal=anneal)


def test_schedules_are_kept_by_files_and_taken_from_tables_of_any_depth(tmp_path: Path) -> None:
    recipe = api.recipe(GAN, name="mine", anneal={"task.r1": Ramp(end=0.1), "augment.strength": StepDecay(decay=0.5)})
    assert api.recipe(write_recipe(recipe, tmp_path / "a.toml")) == recipe
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    (tmp_path / "b.toml").write_text(commented(recipe, "mine"))
    assert api.recipe(tmp_path / "b.toml") == recipe
    (tmp_path / "c.toml").write_text(
        f'base = "{GAN}"\nname = "mine"\n[anneal]\ntask.r1 = {{ end = 0.1 }}\n'
        '"augment.strength" = { kind = "step-decay", decay = 0.5 }\n'
    )
    assert api.recipe(tmp_path / "c.toml") == recipe
    varied = recipe_at(recipe, {"anneal.task.r1.end": 0.2})
    assert varied.anneal == {"task.r1": Ramp(end=0.2), "augment.strength": StepDecay(decay=0.5)}
    assert varied.fingerprint() != recipe.fingerprint()
    assert api.recipe(recipe, anneal={"task.r1": None}).anneal.keys() == {"augment.strength"}


def test_a_fingerprint_counts_what_is_not_at_its_default() -> None:
    plain = api.recipe(GAN)
    one, same = (api.recipe(GAN, anneal={"task.r1": given}) for given in ({"end": 0.1}, {"start": 1.0, "end": 0.1}))
    assert one.fingerprint() == same.fingerprint() != plain.fingerprint()


def test_fields_of_former_versions_are_schedules_now() -> None:
    former = {"task": {"kind": "adversarial", "instance_noise": 0.25, "noise_decay": 0.9997}, "augment": {"hue": 0.1}}
    found, said = upgraded_recipe(former)
    assert found == {
        "task": {"kind": "adversarial", "instance_noise": 0.25},
        "augment": {"hue": 0.1},
        "anneal": {"task.instance_noise": {"kind": "step-decay", "decay": 0.9997, "every": 1}},
    }
    assert said == ["task.instance_noise has a schedule in anneal now, which its own field was before"]
    assert upgraded_recipe({"task": {"noise_decay": 1.0}, "augment": {"fade": 0.0, "faded": 0.5}}) == (
        {"task": {}, "augment": {}},
        [],
    )
    faded, _ = upgraded_recipe({"augment": {"rotation_degrees": 20.0, "fade": 0.2, "faded": 0.5}})
    recipe = api.recipe("addnist-best", **faded)
    for step in (0, 7_999, 8_000, 8_764, 9_999):  # as version 0.1 computed it
        over = (step + 1 - (1 - 0.2) * 10_000) / (0.2 * 10_000)
        assert recipe.annealed(step).augment.strength == (1 + (0.5 - 1) * over if over > 0 else 1)
    assert upgraded_overrides({"task.noise_decay": [1.0, 0.9]}) == {"anneal.task.instance_noise.decay": [1.0, 0.9]}


@pytest.mark.parametrize(("field", "start"), [("task.r1", 0.0), ("optimiser.betas.1", 0.5), ("augment.strength", 0.0)])
def test_a_training_takes_each_step_with_its_own_numbers(field: str, start: float, pictures: Path) -> None:
    """Two steps of a ramp are a step with one number, then one with another."""

    def weights(*anneal: dict[str, Any]) -> list[torch.Tensor]:
        start = tiny.gan(pictures, task__r1=0.5, augment__brightness=0.5, budget__steps=len(anneal))
        recipe = api.located(start)
        machine = Machine.choose(recipe.engine, "cpu")
        state = State.start(recipe, build(recipe).nets, machine)
        images = tiny.patterns(recipe.data)
        for one in anneal:
            TrainStep(tiny.changed(recipe, {"anneal": one}), state, machine, images)()
        return [parameter.detach().clone() for parameter in state.nets.parameters()]

    ramp = {field: {"kind": "ramp", "start": start, "end": 1.0, "over": [0.5, 1.0]}}
    constants = [{field: {"kind": "ramp", "start": factor, "end": factor}} for factor in (start, 1.0)]
    both, apart, other = weights(ramp, ramp), weights(*constants), weights(*reversed(constants))
    assert all(map(torch.equal, both, apart))
    assert not all(map(torch.equal, both, other))
