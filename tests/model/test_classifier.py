"""Answers of a classifier by one view of an image, and by several."""

from dataclasses import replace

import pytest
import tiny
import torch

from shoestring.core.device import Machine
from shoestring.core.errors import RecipeError
from shoestring.data.dataset import normalise
from shoestring.model.build import initialise
from shoestring.model.classifier import Classifier
from shoestring.recipes.recipe import Recipe


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Classifier:
    pictures = tiny.write_pictures(tmp_path_factory.mktemp("views") / "pictures")
    recipe = tiny.classifier(pictures, augment__rotation_degrees=40)
    return Classifier(recipe, initialise(recipe).eval(), Machine.choose(recipe.engine, "cpu"))


def some(count: int) -> torch.Tensor:
    return torch.randint(256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_by_several_views_probabilities_are_averaged(model: Classifier) -> None:
    images, augment, by = some(5), model.recipe.augment, model.recipe.normalisation
    seen = [images.float() / 255, augment.view(images, 1), augment.view(images, 2)]
    with torch.inference_mode():
        mean = torch.stack([model.nets["classifier"](normalise(view, by)).softmax(1) for view in seen]).mean(0)
    found = model.with_views(3).logits(images)
    assert found.exp().allclose(mean, atol=1e-5)
    assert not mean.allclose(model.logits(images).softmax(1), atol=1e-4)
    assert model.with_views(3).logits(images[2:]).allclose(found[2:], atol=1e-5)  # no other image matters


def test_one_view_is_the_net_alone(model: Classifier) -> None:
    images = some(3)
    assert model.with_views(None) is model.with_views(1) is model
    assert model.with_views(4).with_views(1).logits(images).equal(model.logits(images))
    with pytest.raises(RecipeError, match="views: Input should be greater than or equal to 1"):
        model.with_views(0)


def test_an_augmentation_of_ones_own_makes_no_views(model: Classifier, tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def brighter(images, generator):\n    return images * 1.1\n")
    values = model.recipe.to_json() | {"augment": {"kind": f"{file}:brighter"}}
    own = replace(model, recipe=Recipe.from_json(values))
    with pytest.raises(RecipeError, match="one of your own: set it to 1"):
        own.with_views(2)
