"""From a recipe to its nets."""

import pytest
import tiny

from shoestring.core.errors import RecipeError
from shoestring.model.build import build
from shoestring.recipes.best import cifar100_best
from shoestring.recipes.papers import cifar100_resnet


def test_one_image_a_step_is_refused_where_features_are_normalised_over_images() -> None:
    with pytest.raises(RecipeError, match=r"'basic'.*take 2 or more"):
        build(tiny.changed(cifar100_best(), {"batch_size": 1}))
    assert build(tiny.changed(cifar100_best(), {"batch_size": 2})).parameters <= 100_000


def test_one_image_a_step_is_enough_where_maps_are_normalised() -> None:
    assert build(tiny.changed(cifar100_resnet(), {"batch_size": 1})).parameters <= 100_000
