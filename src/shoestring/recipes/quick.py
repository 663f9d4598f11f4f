"""Recipes that finish in minutes on two CPU cores."""

from shoestring.budget import Budget
from shoestring.data.addnist import AddNIST
from shoestring.data.augment import Augment
from shoestring.nets.mbconv import MBConvNet
from shoestring.optim import Adam
from shoestring.recipes.recipe import Cadence, Recipe
from shoestring.schedule import OneCycle
from shoestring.tasks.classify import Classify


def addnist_quick() -> Recipe:
    """AddNIST classifier on the digits inside the package; needs no download.

    `shoestring train addnist-quick`
    """
    return Recipe(
        name="addnist-quick",
        summary="AddNIST classifier on the digits shipped with the package, in a minute",
        budget=Budget(parameters=100_000, steps=300),
        data=AddNIST(digits="embedded", tune=0),
        augment=Augment(rotation_degrees=10, translation=0.08),
        net=MBConvNet(),
        task=Classify(label_smoothing=0.02),
        optimiser=Adam(learning_rate=0.004, weight_decay=1e-4),
        schedule=OneCycle(start=0.25, end=2.5e-5),
        batch_size=128,
        cadence=Cadence(log=10, evaluate=100, checkpoint=100),
    )
