"""The recipes by name."""

from collections.abc import Callable

from shoestring.recipes.best import (
    addnist_best,
    addnist_best_small,
    cifar100_best,
    cifar100_best_small,
    cifar100_mixconv,
    cifar100_plain,
)
from shoestring.recipes.generators import cifar100_flow, cifar100_flow_quick, cifar100_gan, cifar100_gan_best
from shoestring.recipes.papers import addnist_effnet, cifar100_dcgan_44, cifar100_dcgan_64, cifar100_resnet
from shoestring.recipes.quick import addnist_quick, cifar100_gan_quick
from shoestring.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    make().name: make
    for make in (
        addnist_effnet,
        cifar100_resnet,
        cifar100_dcgan_44,
        cifar100_dcgan_64,
        addnist_best,
        addnist_best_small,
        cifar100_best,
        cifar100_best_small,
        cifar100_plain,
        cifar100_mixconv,
        cifar100_flow,
        cifar100_gan,
        cifar100_gan_best,
        addnist_quick,
        cifar100_flow_quick,
        cifar100_gan_quick,
    )
}
"""Functions that give the recipes, by recipe name, in the order they are listed."""
