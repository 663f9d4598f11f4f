"""The best classifiers we know within 100,000 parameters and 10,000 steps, and smaller siblings."""

from shoestring.core.budget import Budget
from shoestring.data.addnist import AddNIST
from shoestring.data.augment import Augment
from shoestring.data.cifar100 import CIFAR100
from shoestring.nets.digit_sum import DigitSum
from shoestring.nets.mixconv import MixConvNet
from shoestring.nets.resnet import BasicNet
from shoestring.optim.configs import Adam, Muon
from shoestring.optim.lr_schedule import OneCycle, Ramp, WarmupStableDecay
from shoestring.recipes.recipe import Cadence, Recipe
from shoestring.tasks.classification import Classify


def addnist_best() -> Recipe:
    """AddNIST classifier that reads the digits and adds them up.

    `shoestring train addnist-best --data.tune 0`
    """
    return Recipe(
        name="addnist-best",
        summary="AddNIST classifier that reads each digit with one net and adds them up",
        budget=Budget(parameters=100_000, steps=10_000),
        data=AddNIST(),
        augment=Augment(rotation_degrees=20, translation=0.12, scale=(0.75, 1.2), shear_degrees=20, per_channel=True),
        net=DigitSum(stem_stride=2),
        task=Classify(views=4),
        optimiser=Adam(learning_rate=0.004, weight_decay=0.05, decoupled=True),
        schedule=OneCycle(start=0.25, end=1e-3),
        anneal={"augment.strength": Ramp(end=0.5, over=(0.6, 1.0))},
        batch_size=96,
        ema=(0.999,),
        cadence=CADENCE,
    )


def addnist_best_small() -> Recipe:
    """The same with a quarter of the parameters, and full augmentation to the end.

    `shoestring train addnist-best-small --data.tune 0`
    """
    return addnist_best().replace(
        name="addnist-best-small",
        summary="addnist-best with a quarter of the parameters",
        budget={"parameters": 25_000},
        net={"width": 11},
        anneal={"augment.strength": None},
    )


def cifar100_best() -> Recipe:
    """CIFAR-100 classifier of mirrored 3x3 convolutions, so that two CPU cores can afford 51 passes over the images.

    `shoestring train cifar100-best --data.tune 0`
    """
    return Recipe(
        name="cifar100-best",
        summary="CIFAR-100 classifier of mirrored 3x3 convolutions, SiLU and Muon, made for a CPU",
        budget=Budget(parameters=100_000, steps=10_000),
        data=CIFAR100(),
        augment=Augment(horizontal_flip=True, crop_padding=4),
        net=BasicNet(widths=(11, 22, 36), mirrored=True, features=60, activation="silu"),
        task=Classify(views=4),
        optimiser=Muon(learning_rate=0.02, weight_decay=0.1),
        schedule=WarmupStableDecay(warmup=0.05, cooldown=0.7),
        batch_size=256,
        ema=(0.999,),
        cadence=CADENCE,
    )


def cifar100_best_small() -> Recipe:
    """The same with a quarter of the parameters.

    `shoestring train cifar100-best-small --data.tune 0`
    """
    return cifar100_best().replace(
        name="cifar100-best-small",
        summary="CIFAR-100 classifier of mirrored 3x3 convolutions, with a quarter of the parameters",
        budget={"parameters": 25_000},
        net={"widths": (5, 11, 17), "features": 32},
    )


def cifar100_plain() -> Recipe:
    """What `cifar100-best` was: plain kernels and ReLU, half the multiply-adds, and a better start for other images.

    `shoestring train cifar100-plain --data.tune 0`
    """
    return cifar100_best().replace(
        name="cifar100-plain",
        summary="CIFAR-100 classifier of plain 3x3 convolutions and Muon, half the multiply-adds of cifar100-best",
        net=BasicNet(),
        optimiser={"weight_decay": 0.02},
    )


def cifar100_mixconv() -> Recipe:
    """CIFAR-100 classifier of mixed depthwise kernels, 2.8 times the multiply-adds of `cifar100-plain`: for a GPU.

    `shoestring train cifar100-mixconv --data.tune 0 --engine.compile`
    """
    return cifar100_best().replace(
        name="cifar100-mixconv",
        summary="CIFAR-100 classifier of mixed depthwise kernels and gated layers, for a GPU",
        net=MixConvNet(),
        task=Classify(label_smoothing=0.05),
        optimiser=Muon(learning_rate=0.01, weight_decay=0.02),
        schedule=WarmupStableDecay(warmup=0.03, cooldown=0.7),
        batch_size=1024,
    )


CADENCE = Cadence(log=100, evaluate=1000, checkpoint=1000)
