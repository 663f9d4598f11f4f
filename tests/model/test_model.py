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
from shoestring.model.generator import Generator
from shoestring.model.interpolation import great_circle
from shoestring.model.load import load, open_run
from shoestring.recipes.generators import cifar100_flow_quick, cifar100_gan_best
from shoestring.recipes.papers import cifar100_dcgan_44, cifar100_resnet
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.contract import NO_CLASS


@pytest.fixture(scope="module")
def model() -> Generator:
    changes = {"width": 32, "depths": (1, 1, 1), "embedding": 16, "attention": 32}
    values = cifar100_flow_quick().to_json()
    values["net"] |= changes
    values["task"]["sampling"] |= {"steps": 3, "guidance": 1.0}
    recipe = Recipe.from_json(values)
    nets = initialise(recipe).eval()
    with torch.no_grad():
        nets["denoiser"].head.strength.factor.fill_(1)
        nets["denoiser"].modulate.gain.fill_(1)
    return Generator(recipe, nets, Machine.choose(recipe.engine, "cpu"))


def test_latent_of_a_flow_is_an_image_of_noise_and_of_a_gan_its_vector() -> None:
    assert cifar100_flow_quick().latent_shape == (3, 32, 32)
    assert cifar100_dcgan_44().latent_shape == (110,)
    assert cifar100_resnet().latent_shape == ()


def test_images_are_a_function_of_seed_and_place_and_show_every_class_in_turn(model: Generator) -> None:
    three, five = model.sample(3, 1, Progress()), model.sample(5, 1, Progress())
    assert three.dtype == torch.uint8
    assert three.shape == (3, 3, 32, 32)
    assert (three.int() - five[:3].int()).abs().max() <= 1  # a batch of another size rounds differently
    assert not three.equal(model.sample(3, 2, Progress()))
    assert model.labels(201).tolist() == [*range(100), *range(100), 0]
    assert five.equal(model.sample(5, 1, Progress(), labels=torch.arange(5)))


def test_class_is_chosen_by_name(model: Generator) -> None:
    rose = model.recipe.data.classes.index("rose")
    assert model.labels(2, "rose").tolist() == [rose, rose]
    assert model.labels(1, "none").tolist() == [NO_CLASS]
    assert not model.sample(2, 0, Progress(), model.labels(2, "rose")).equal(
        model.sample(2, 0, Progress(), model.labels(2, "none"))
    )
    with pytest.raises(RecipeError, match="did you mean 'rose'"):
        model.labels(1, "roze")


def test_a_class_called_none_can_be_made_and_no_class_as_well(model: Generator) -> None:
    values = model.recipe.to_json()
    names = ["none", "rose", "sea"]
    values["data"] = {"kind": "folder", "path": "/nowhere", "names": names}
    named = replace(model, recipe=Recipe.from_json(values))
    assert named.labels(2, "none").tolist() == [0, 0]
    assert named.labels(2, "").tolist() == [NO_CLASS, NO_CLASS]
    assert model.labels(2, "").equal(model.labels(2, "none"))
    with pytest.raises(RecipeError, match="An empty name, '', asks for no class"):
        named.labels(1, "roze")


def test_nets_that_were_always_told_a_class_get_one_by_chance_for_none(model: Generator) -> None:
    recipe = cifar100_gan_best()
    gan = Generator(recipe, initialise(recipe).eval(), model.machine)
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
    assert not Recipe.from_json(values).task.unconditional


def test_options_of_sampling_change_the_images_and_what_is_recorded(model: Generator) -> None:
    other = model.with_sampling({"steps": 5, "guidance": 2.0})
    assert (other.recipe.task.sampling.steps, other.recipe.task.sampling.guidance) == (5, 2.0)
    assert other.recipe.task.sampling.solver == model.recipe.task.sampling.solver
    assert not other.sample(2, 0, Progress()).equal(model.sample(2, 0, Progress()))
    assert model.with_sampling({}) is model


def test_sampling_past_the_budget_or_of_a_model_without_steps_is_refused(model: Generator) -> None:
    with pytest.raises(OverBudgetError, match="101 net calls, 1 over the budget of 100"):
        model.with_sampling({"steps": 101, "solver": "euler"})
    with pytest.raises(RecipeError, match="solver"):
        model.with_sampling({"solver": "magic"})
    gan = cifar100_dcgan_44()
    with pytest.raises(
        RecipeError,
        match="no option of sampling steps; it has feature_ascent_steps, feature_ascent_step_size, pixel_ascent_steps",
    ):
        Generator(gan, initialise(gan), model.machine).with_sampling({"steps": 5})
    with pytest.raises(OverBudgetError, match="65 net calls"):  # the papers' budget has one call
        Generator(gan, initialise(gan), model.machine).with_sampling({"pixel_ascent_steps": 32})
    with pytest.raises(RecipeError, match="no option of sampling pixel_ascent_steps"):
        model.with_sampling({"pixel_ascent_steps": 4})
    with pytest.raises(OverBudgetError):
        Recipe.from_json(cifar100_flow_quick().to_json() | {"budget": {"parameters": 1_000_000, "steps": 9, "nfe": 3}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: Input should be greater than 0"),
        ({"span": (80.0, 0.02)}, "span: 80 is not below 0.02"),
        ({"interval": (5.0, 0.1)}, "interval: 5 is not below 0.1"),
        ({"solver": "magic"}, "solver: Input should be 'euler', 'heun' or 'multistep'"),
        ({"steps": 101, "solver": "euler"}, "101 net calls, 1 over the budget of 100"),
    ],
)
def test_wrong_options_of_sampling_are_told_in_their_own_terms(model: Generator, options, message) -> None:
    with pytest.raises((RecipeError, OverBudgetError), match=re.escape(message)) as told:
        model.with_sampling(options)
    assert "task." not in str(told.value)
    assert "--budget" not in str(told.value)  # an option of `train`


@pytest.fixture(scope="module")
def gan() -> Generator:
    """The shipped one, one call an image, of latent vectors as in training."""
    one_call = {"feature_ascent_steps": 0, "pixel_ascent_steps": 0, "truncation": 1.0}
    return load(open_run("cifar100-gan-best"), "cpu").with_sampling(one_call)


def test_a_gans_images_are_refined_wherever_they_are_made(gan: Generator) -> None:
    refined = gan.with_sampling({"pixel_ascent_steps": 3, "pixel_ascent_step_size": 0.3})
    plain, better = gan.sample(6, 3, Progress()), refined.sample(6, 3, Progress())
    assert better.dtype == torch.uint8
    assert (gan.score(better) > gan.score(plain)).all()
    alone = refined.sample(2, 3, Progress())
    assert (alone.int() - better[:2].int()).abs().max() <= 1  # an image depends on no other, up to rounding
    assert refined.decode(gan.latents(6, 3), Progress()).equal(better)
    ends = refined.interpolate(3, 2, 3, Progress())[:, 0]
    assert (ends.int() - refined.decode(gan.latents(6, 3)[0::2], Progress(), gan.labels(3)).int()).abs().max() <= 1
    assert all(parameter.requires_grad for parameter in gan.nets["discriminator"].parameters())


def test_truncation_shortens_latent_vectors_before_anything_else(gan: Generator) -> None:
    short = gan.with_sampling({"truncation": 0.5})
    latents = gan.latents(6, 3)
    images = short.sample(6, 3, Progress())
    assert images.equal(gan.decode(0.5 * latents, Progress()))
    assert not images.equal(gan.decode(latents, Progress()))
    ends = short.interpolate(3, 2, 3, Progress(), (gan.labels(6)[0::2], gan.labels(6)[1::2]))
    assert (ends.flatten(0, 1).int() - images.int()).abs().max() <= 1


def test_feature_ascent_steps_raise_the_score_of_every_image(gan: Generator) -> None:
    guided = gan.with_sampling({"feature_ascent_steps": 2, "feature_ascent_step_size": 3.0})
    assert guided.recipe.task.nfe == 9
    plain, better = gan.sample(20, 3, Progress()), guided.sample(20, 3, Progress())
    assert gan.score(better).mean() > gan.score(plain).mean() + 0.05
    assert (gan.score(better) > gan.score(plain)).float().mean() > 0.9
    alone = guided.sample(2, 3, Progress())
    assert (alone.int() - better[:2].int()).abs().max() <= 1  # an image depends on no other, up to rounding
    ends = guided.interpolate(3, 2, 3, Progress(), (gan.labels(6)[0::2], gan.labels(6)[1::2]))
    assert (ends.flatten(0, 1).int() - better[:6].int()).abs().max() <= 1
    assert all(parameter.requires_grad for net in gan.nets.values() for parameter in net.parameters())


def test_pixel_ascent_steps_start_from_the_images_of_feature_ascent_unrounded(gan: Generator) -> None:
    seen, latents = list[Tensor](), gan.latents(2, 3)
    features = gan.with_sampling({"feature_ascent_steps": 1})
    both = features.with_sampling({"pixel_ascent_steps": 1})
    hook = gan.nets["discriminator"].register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    images = both.decode(latents, Progress())
    hook.remove()
    _, in_pixels = seen  # one look for the step in features, one for that in pixels
    shown = in_pixels[in_pixels != 0]  # shifts fill with zeros
    levels = (shown + 1) * 127.5
    assert (levels - levels.round()).abs().max() > 0.3
    with torch.no_grad():
        made = features.sampler_of(gan.nets).sample(latents, gan.labels(2))
    assert (shown[:, None] - made.flatten()).abs().amin(1).max() < 1e-4
    assert not images.equal(features.decode(latents, Progress()))


def test_a_generator_without_first_features_says_so() -> None:
    gan = load(open_run("cifar100-dcgan-44"), "cpu")
    assert isinstance(gan, Generator)
    gan = replace(gan, recipe=gan.recipe.replace(budget={"nfe": 5})).with_sampling({"feature_ascent_steps": 1})
    with pytest.raises(
        RecipeError, match=r"no offset to its first features, .* set sampling.feature_ascent_steps to 0"
    ):
        gan.sample(2, 3, Progress())


def test_interpolation_ends_at_the_samples_of_its_latents_and_classes(model: Generator) -> None:
    first, last = torch.tensor([1, 2]), torch.tensor([1, 7])
    paths = model.interpolate(2, 4, 3, Progress(), (first, last))
    assert paths.shape == (2, 4, 3, 32, 32)
    latents = model.latents(4, 3)
    for index, labels in ((0, first), (-1, last)):
        ends = model.decode(latents[0::2] if index == 0 else latents[1::2], Progress(), labels)
        assert (paths[:, index].int() - ends.int()).abs().max() <= 1
    assert not paths[0, 1].equal(paths[0, 0])


def test_each_pixel_ascent_step_sees_another_augmentation(gan: Generator) -> None:
    seen: list[Tensor] = []
    hook = gan.nets["discriminator"].register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    gan.with_sampling({"pixel_ascent_steps": 4}).decode(gan.latents(2, 3), Progress())
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


def test_run_keeps_ema_weights_apart_from_the_final_weights(tmp_path) -> None:
    run = Run(tmp_path)
    with pytest.raises(RunError, match="no final weights"):
        run.read_weights(0.99)
    run.write_weights({"w": torch.tensor([1.0])}, {"recipe": "x"})
    for decay in (0.999, 0.9):
        run.write_ema_weights(decay, {"w": torch.tensor([decay])})
    assert run.ema_decays() == [0.9, 0.999]
    assert run.read_weights()["w"].item() == 1
    assert run.read_weights(0.999)["w"].item() == pytest.approx(0.999)
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["weights.safetensors"]
    with pytest.raises(RunError, match=r"it has: 0\.9, 0\.999"):
        run.read_weights(0.5)


def test_recipe_with_its_sampling_survives_json() -> None:
    recipe = cifar100_flow_quick()
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
