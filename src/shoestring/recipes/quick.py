"""Recipes that finish in minutes on two CPU cores."""

from shoestring.core.budget import Budget
from shoestring.data.addnist import AddNIST
from shoestring.data.augment import Augment
from shoestring.nets.digit_sum import DigitSum
from shoestring.optim.configs import Adam
from shoestring.optim.lr_schedule import OneCycle
from shoestring.recipes.recipe import Cadence, Recipe
from shoestring.tasks.classification import Classify


def addnist_quick() -> Recipe:
    """AddNIST classifier on the digits inside the package; needs no download.

    `shoestring train addnist-quick`
    """
    return Recipe(
        name="addnist-quick",
        summary="AddNIST classifier on the digits shipped with the package, in a minute",
        budget=Budget(parameters=100_000, steps=600),
        data=AddNIST(digits="embedded", tune=0),
        augment=Augment(rotation_degrees=12, translation=0.08, scale=(0.9, 1.1), shear_degrees=8, per_channel=True),
        net=DigitSum(width=16, stem_stride=2),
        task=Classify(),
        optimiser=Adam(learning_rate=0.005),
        schedule=OneCycle(start=0.25, end=1e-3),
        batch_size=64,
        cadence=Cadence(log=10, evaluate=300, checkpoint=300),
    )
