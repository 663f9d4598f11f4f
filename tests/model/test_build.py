"""From a recipe to its nets."""

import pytest
import tiny

from shoestring.core.errors import OverBudgetError, RecipeError
from shoestring.model.build import build
from shoestring.recipes.best import cifar100_best, cifar100_plain
from shoestring.recipes.papers import cifar100_dcgan_44, cifar100_resnet


def test_one_image_a_step_is_refused_where_features_are_normalised_over_images() -> None:
    with pytest.raises(RecipeError, match=r"'basic'.*take 2 or more"):
        build(tiny.changed(cifar100_best(), {"batch_size": 1}))
    assert build(tiny.changed(cifar100_best(), {"batch_size": 2})).parameters <= 100_000


def test_one_image_a_step_is_enough_where_maps_are_normalised() -> None:
    assert build(tiny.changed(cifar100_resnet(), {"batch_size": 1})).parameters <= 100_000


def test_limits_of_a_device_are_enforced_before_training() -> None:
    recipe = cifar100_plain().replace(budget={"activation_bytes": 33_344, "multiply_adds": 15_137_872})
    built = build(recipe)
    assert built.device is not None
    assert (built.device.activation_bytes, built.device.multiply_adds) == (33_344, 15_137_872)
    assert built.device.multiply_adds == sum(layer.multiply_adds for layer in built.layers)
    with pytest.raises(OverBudgetError, match="33,344 activation bytes, 1 over"):
        build(recipe.replace(budget={"activation_bytes": 33_343}))
    with pytest.raises(RecipeError, match=r"makes images: .* limit classifiers only"):
        build(cifar100_dcgan_44().replace(budget={"weight_bytes": 1_000_000}))


@pytest.mark.parametrize("width", [10**12, 10**30])
def test_nets_that_no_memory_or_number_holds_are_refused(width: int) -> None:
    with pytest.raises(RecipeError, match="'basic' cannot be made as large as this"):
        build(cifar100_best().replace(net={"widths": [width, 2, 2]}))
