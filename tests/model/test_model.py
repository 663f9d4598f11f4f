import json
import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from shoestring.core.device import Machine
from shoestring.core.errors import OverBudgetError, RecipeError, RunError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.model.build import initialise
from shoestring.model.interpolation import great_circle
from shoestring.model.load import load, open_run
from shoestring.model.model import Model
from shoestring.recipes.generators import cifar100_flow_quick, cifar100_gan_best
from shoestring.recipes.papers import cifar100_dcgan_44, cifar100_resnet
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.contract import NO_CLASS


@pytest.fixture(scope="module")
def model() -> Model:
    changes = {"width": 32, "depths": (1, 1, 1), "embedding": 16, "attention": 32}
    values = cifar100_flow_quick().to_json()
    values["net"] |= changes
    values["task"]["sampling"] |= {"steps": 3, "guidance": 1.0}
    recipe = Recipe.from_json(values)
    nets = initialise(recipe).eval()
    with torch.no_grad():
        nets["denoiser"].head.strength.factor.fill_(1)
        nets["denoiser"].modulate.gain.fill_(1)
    return Model(recipe, nets, Machine.choose(recipe.engine, "cpu"))


def test_latent_of_a_flow_is_an_image_of_noise_and_of_a_gan_its_vector() -> None:
    assert cifar100_flow_quick().latent_shape == (3, 32, 32)
    assert cifar100_dcgan_44().latent_shape == (110,)
    assert cifar100_resnet().latent_shape == ()


def test_images_are_a_function_of_seed_and_place_and_show_every_class_in_turn(model: Model) -> None:
    three, five = model.sample(3, 1, Progress()), model.sample(5, 1, Progress())
    assert three.dtype == torch.uint8
    assert three.shape == (3, 3, 32, 32)
    assert (three.int() - five[:3].int()).abs().max() <= 1  # a batch of another size rounds differently
    assert not three.equal(model.sample(3, 2, Progress()))
    assert model.labels(201).tolist() == [*range(100), *range(100), 0]
    assert five.equal(model.sample(5, 1, Progress(), labels=torch.arange(5)))


def test_class_is_chosen_by_name(model: Model) -> None:
    rose = model.recipe.data.classes.index("rose")
    assert model.labels(2, "rose").tolist() == [rose, rose]
    assert model.labels(1, "none").tolist() == [NO_CLASS]
    assert not model.sample(2, 0, Progress(), model.labels(2, "rose")).equal(
        model.sample(2, 0, Progress(), model.labels(2, "none"))
    )
    with pytest.raises(RecipeError, match="did you mean 'rose'"):
        model.labels(1, "roze")


def test_a_class_called_none_can_be_made_and_no_class_as_well(model: Model) -> None:
    values = model.recipe.to_json()
    names = ["none", "rose", "sea"]
    values["data"] = {"kind": "folder", "path": "/nowhere", "names": names}
    named = replace(model, recipe=Recipe.from_json(values))
    assert named.labels(2, "none").tolist() == [0, 0]
    assert named.labels(2, "").tolist() == [NO_CLASS, NO_CLASS]
    assert model.labels(2, "").equal(model.labels(2, "none"))
    with pytest.raises(RecipeError, match="An empty name, '', asks for no class"):
        named.labels(1, "roze")


def test_nets_that_were_always_told_a_class_get_one_by_chance_for_none(model: Model) -> None:
    recipe = cifar100_gan_best()
    gan = Model(recipe, initialise(recipe).eval(), model.machine)
    drawn = gan.labels(20_000, "none")
    assert drawn.bincount(minlength=100).min() > 100  # 200 each on average
    assert drawn.bincount(minlength=100).max() < 300
    assert gan.labels(7, "none").equal(drawn[:7])
    assert (drawn[1:] != (drawn[:-1] + 1) % 100).float().mean() > 0.98  # not in turn


def test_flow_that_always_knew_the_class_is_not_guided_away_from_none() -> None:
    values = cifar100_flow_quick().to_json()
    values["task"]["label_dropout"] = 0
    with pytest.raises(RecipeError, match="label_dropout above 0"):
        Recipe.from_json(values)
    values["task"]["sampling"]["guidance"] = 1
    assert not Recipe.from_json(values).task.classless


def test_options_of_sampling_change_the_images_and_what_is_recorded(model: Model) -> None:
    other = model.sampling(steps=5, guidance=2.0, solver=None)
    assert (other.recipe.task.sampling.steps, other.recipe.task.sampling.guidance) == (5, 2.0)
    assert other.recipe.task.sampling.solver == model.recipe.task.sampling.solver
    assert not other.sample(2, 0, Progress()).equal(model.sample(2, 0, Progress()))
    assert model.sampling(steps=None) is model


def test_sampling_past_the_budget_or_of_a_model_without_steps_is_refused(model: Model) -> None:
    with pytest.raises(OverBudgetError, match="101 net calls, 1 over the budget of 100"):
        model.sampling(steps=101, solver="euler")
    with pytest.raises(RecipeError, match="solver"):
        model.sampling(solver="magic")
    gan = cifar100_dcgan_44()
    with pytest.raises(RecipeError, match="takes no steps"):
        Model(gan, initialise(gan), model.machine).sampling(steps=5)
    with pytest.raises(OverBudgetError, match="65 net calls"):  # the papers' budget has one call
        Model(gan, initialise(gan), model.machine).sampling(candidates=32)
    with pytest.raises(RecipeError, match="takes no candidates"):
        model.sampling(candidates=4)
    with pytest.raises(OverBudgetError):
        Recipe.from_json(
            cifar100_flow_quick().to_json() | {"budget": {"parameters": 1_000_000, "steps": 9, "evaluations": 3}}
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: Input should be greater than 0"),
        ({"span": (80.0, 0.02)}, "span: 80 is not below 0.02"),
        ({"interval": (5.0, 0.1)}, "interval: 5 is not below 0.1"),
        ({"solver": "magic"}, "solver: Input should be 'euler', 'heun' or 'multistep'"),
        ({"guide": "weak", "guidance": 2.0}, "take guide 'classless', or guidance 1"),
        ({"steps": 101, "solver": "euler"}, "101 net calls, 1 over the budget of 100"),
    ],
)
def test_wrong_options_of_sampling_are_told_in_their_own_terms(model: Model, options, message) -> None:
    with pytest.raises((RecipeError, OverBudgetError), match=re.escape(message)) as told:
        model.sampling(**options)
    assert "task." not in str(told.value)
    assert "--budget" not in str(told.value)  # an option of `train`


def test_langevin_steps_that_overshoot_are_refused(model: Model) -> None:
    recipe = cifar100_gan_best()
    gan = Model(recipe, initialise(recipe).eval(), model.machine)
    with pytest.raises(RecipeError, match="latent_step_size: Input should be less than 4"):
        gan.sampling(latent_step_size=4)


def test_a_gan_gives_those_of_its_candidates_that_its_discriminator_likes(model: Model) -> None:
    recipe = cifar100_gan_best()
    gan = Model(recipe, initialise(recipe).eval(), model.machine).sampling(latent_steps=0, refinements=0)
    # So that latent vectors make a difference.
    torch.nn.init.normal_(gan.nets["generator"].modulate.weight, generator=torch.Generator().manual_seed(0))
    plain, labels = gan.sample(6, 3, Progress()), gan.labels(6)
    assert gan.sampling(candidates=1).sample(6, 3, Progress()).equal(plain)
    many = [gan.decode(gan.latents(6, 3, candidate), Progress()) for candidate in range(4)]
    assert many[0].equal(plain)
    scores = torch.stack([gan.realism(images, labels) for images in many])
    choosy = gan.sampling(candidates=4, temperature=1e-6)
    chosen = choosy.sample(6, 3, Progress())
    favourites = scores.argmax(0)
    assert len(favourites.unique()) > 1
    assert chosen.equal(torch.stack([many[best][place] for place, best in enumerate(favourites.tolist())]))
    few = choosy.sample(3, 3, Progress())  # an image does not depend on how many are asked for, up to rounding
    assert (few.int() - chosen[:3].int()).abs().max() <= 2
    assert (few != chosen[:3]).float().mean() < 0.01
    assert not gan.sampling(candidates=4, temperature=100).sample(6, 3, Progress()).equal(chosen)


@pytest.fixture(scope="module")
def gan() -> Model:
    """The shipped one, one call an image."""
    return load(open_run("cifar100-gan-best"), "cpu").sampling(candidates=1, latent_steps=0, refinements=0)


def test_a_gans_images_are_refined_wherever_they_are_made(gan: Model) -> None:
    refined = gan.sampling(refinements=3, step_size=0.3)
    plain, better = gan.sample(6, 3, Progress()), refined.sample(6, 3, Progress())
    assert better.dtype == torch.uint8
    assert (gan.realism(better) > gan.realism(plain)).all()
    alone = refined.sample(2, 3, Progress())
    assert (alone.int() - better[:2].int()).abs().max() <= 1  # an image depends on no other, up to rounding
    assert refined.decode(gan.latents(6, 3), Progress()).equal(better)
    ends = refined.interpolate(3, 2, 3, Progress())[:, 0]
    assert (ends.int() - refined.decode(gan.latents(6, 3)[0::2], Progress(), gan.labels(3)).int()).abs().max() <= 1
    chosen, both = (gan.sampling(candidates=3, refinements=count).sample(6, 3, Progress()) for count in (0, 3))
    assert (gan.realism(both) > gan.realism(chosen)).all()
    assert all(parameter.requires_grad for parameter in gan.nets["discriminator"].parameters())


def test_latent_vectors_are_led_to_what_the_discriminator_likes(gan: Model) -> None:
    eager = gan.sampling(latent_steps=10, latent_step_size=0.02, temperature=0.02)
    plain, best = gan.sample(20, 3, Progress()), eager.sample(20, 3, Progress())
    assert gan.realism(best).mean() > gan.realism(plain).mean() + 0.1
    how = gan.sampling(latent_steps=5, temperature=0.5)
    led = how.sample(20, 3, Progress())
    assert (led != plain).flatten(1).any(1).all()
    latents = how.led(gan.latents(20, 3), 3, Progress())
    assert gan.decode(latents, Progress()).equal(led)
    alone = how.sample(2, 3, Progress())
    assert (alone.int() - led[:2].int()).abs().float().mean() < 0.1  # an image depends on no other, up to rounding
    ends = how.interpolate(3, 2, 3, Progress(), (gan.labels(6)[0::2], gan.labels(6)[1::2]))
    assert (ends.flatten(0, 1).int() - led[:6].int()).abs().float().mean() < 0.1
    assert all(parameter.requires_grad for net in gan.nets.values() for parameter in net.parameters())


def test_interpolation_ends_at_the_samples_of_its_latents_and_classes(model: Model) -> None:
    first, last = torch.tensor([1, 2]), torch.tensor([1, 7])
    paths = model.interpolate(2, 4, 3, Progress(), (first, last))
    assert paths.shape == (2, 4, 3, 32, 32)
    latents = model.latents(4, 3)
    for index, labels in ((0, first), (-1, last)):
        ends = model.decode(latents[0::2] if index == 0 else latents[1::2], Progress(), labels)
        assert (paths[:, index].int() - ends.int()).abs().max() <= 1
    assert not paths[0, 1].equal(paths[0, 0])


def test_a_flow_leads_latent_vectors_nowhere(model: Model) -> None:
    latents = model.latents(2, 3)
    assert model.led(latents, 3, Progress()) is latents


def test_each_refinement_is_judged_in_another_view(gan: Model) -> None:
    seen: list[Tensor] = []
    hook = gan.nets["discriminator"].register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    gan.sampling(refinements=4).decode(gan.latents(2, 3), Progress())
    hook.remove()
    assert len(seen) == 4
    left_grey = [view.eq(0).all(1) for view in seen]  # where something was moved away from
    assert all(both[0].equal(both[1]) for both in left_grey)  # the same view of all images
    assert len({tuple(both[0].flatten().tolist()) for both in left_grey}) > 2


def test_great_circle_keeps_the_length_and_halves_the_angle() -> None:
    start, end = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    half = great_circle(start, end, torch.tensor([0.5]))
    assert half.allclose(torch.tensor([2**0.5, 2**0.5]))
    assert great_circle(start, end, torch.tensor([0.0])).allclose(start)
    assert great_circle(start, end, torch.tensor([1.0])).allclose(end, atol=1e-6)
    assert great_circle(start, start, torch.tensor([0.3])).allclose(start)


def test_run_keeps_running_means_apart_from_the_final_weights(tmp_path) -> None:
    run = Run(tmp_path)
    with pytest.raises(RunError, match="no final weights"):
        run.read_weights(0.99)
    run.write_weights({"w": torch.tensor([1.0])}, {"recipe": "x"})
    for decay in (0.999, 0.9):
        run.write_average(decay, {"w": torch.tensor([decay])})
    assert run.averages() == [0.9, 0.999]
    assert run.read_weights()["w"].item() == 1
    assert run.read_weights(0.999)["w"].item() == pytest.approx(0.999)
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["weights.safetensors"]
    with pytest.raises(RunError, match=r"it has: 0\.9, 0\.999"):
        run.read_weights(0.5)


def test_recipe_with_its_sampling_survives_json() -> None:
    recipe = cifar100_flow_quick()
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
