"""Recipes that finish within half an hour on two CPU cores."""

from shoestring.core.budget import Budget
from shoestring.data.addnist import AddNIST
from shoestring.data.augment import Augment
from shoestring.nets.digit_sum import DigitSum
from shoestring.optim.configs import Adam
from shoestring.optim.lr_schedule import OneCycle
from shoestring.recipes.generators import cifar100_gan
from shoestring.recipes.recipe import Cadence, Recipe
from shoestring.tasks.classification import Classify
from shoestring.tasks.gan.discriminator_guidance import DiscriminatorGuidance


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


def cifar100_gan_quick() -> Recipe:
    """cifar100-gan by one net call an image, in half an hour on two CPU cores.

    `shoestring train cifar100-gan-quick`
    """
    return cifar100_gan().replace(
        name="cifar100-gan-quick",
        summary="CIFAR-100 generator, class-conditional GAN, in half an hour on two CPU cores",
        budget={"steps": 5_000, "nfe": 1},
        data={"tune": 0},
        task={"sampling": DiscriminatorGuidance()},
        ema=(0.998,),
        cadence={"log": 50},
    )
