"""CIFAR-100 generators beyond the papers, within the papers' budget."""

from shoestring.core.budget import Budget
from shoestring.data.augment import Augment
from shoestring.data.cifar100 import CIFAR100
from shoestring.nets.conditional_dcgan import ConditionalDCGAN
from shoestring.nets.unet import ThriftyUNet
from shoestring.optim.configs import Muon
from shoestring.optim.lr_schedule import WarmupStableDecay
from shoestring.recipes.recipe import Cadence, Recipe
from shoestring.tasks.flow.flow_matching import Flow
from shoestring.tasks.flow.samplers import ODESampling
from shoestring.tasks.gan.diffaugment import DiffAugment
from shoestring.tasks.gan.discriminator_guidance import DiscriminatorGuidance
from shoestring.tasks.gan.task import Adversarial

NFE_24 = ODESampling(steps=12, guidance=2.0, solver="multistep", span=(0.02, 80.0))
"""Twelve steps, each a call with the class and one without."""


def cifar100_flow() -> Recipe:
    """CIFAR-100 generator that follows a learnt flow from noise to images.

    `shoestring train cifar100-flow --data.tune 0`
    """
    return Recipe(
        name="cifar100-flow",
        summary="CIFAR-100 generator, flow matching with a thrifty U-Net",
        budget=Budget(parameters=1_000_000, steps=50_000, nfe=100),
        data=CIFAR100(scale="signed"),
        augment=Augment(horizontal_flip=True),
        net=ThriftyUNet(width=64, depths=(1, 1, 2), block="plain", embedding=112, attention=64, patch=2),
        task=Flow(time_mean=-0.6, sampling=NFE_24.replace(steps=25)),
        optimiser=Muon(learning_rate=0.03, betas=(0.9, 0.99)),
        schedule=WarmupStableDecay(warmup=0.02, cooldown=0.7),
        batch_size=32,
        ema=(0.9995, 0.999, 0.9998),
        cadence=Cadence(log=100, evaluate=5000, checkpoint=2500),
    )


def cifar100_gan() -> Recipe:
    """CIFAR-100 generator that learns against a discriminator, class-conditional.

    `shoestring train cifar100-gan --data.tune 0`
    """
    return Recipe(
        name="cifar100-gan",
        summary="CIFAR-100 generator, class-conditional GAN, a quarter of the multiply-adds of cifar100-gan-best",
        budget=Budget(parameters=1_000_000, steps=50_000, nfe=100),
        data=CIFAR100(scale="signed"),
        augment=Augment(horizontal_flip=True),
        net=ConditionalDCGAN(),
        task=Adversarial(
            rule="relativistic",
            conditional=True,
            augment=DiffAugment(translation=0.125),
            r1=0.1,
            r2=0.1,
            penalty_fraction=0.25,
            sampling=DiscriminatorGuidance(truncation=0.8, feature_ascent_steps=5, pixel_ascent_steps=8),
        ),
        optimiser=Muon(learning_rate=0.01, adam_rate=0.1, momentum=0.5, betas=(0.0, 0.99)),
        schedule=WarmupStableDecay(warmup=0.02, cooldown=0.95),
        batch_size=64,
        ema=(0.9998, 0.9995, 0.999),
        cadence=Cadence(log=100, evaluate=2500, checkpoint=500),
    )


def cifar100_gan_best() -> Recipe:
    """`cifar100_gan` with a narrower start and more convolutions from 8x8 on: 3.8 times the multiply-adds for an image.

    `shoestring train cifar100-gan-best --data.tune 0`
    """
    return cifar100_gan().replace(
        name="cifar100-gan-best",
        summary="CIFAR-100 generator, class-conditional relativistic GAN with gradient penalties",
        net=ConditionalDCGAN(
            start=48,
            generator=(128, 96, 64, 32),
            generator_depths=(1, 2, 2, 2),
            discriminator=(136, 96, 64, 32),
            discriminator_depths=(2, 1, 2, 2),
        ),
        task={"sampling": DiscriminatorGuidance(truncation=0.8, feature_ascent_steps=5, pixel_ascent_steps=8)},
    )


def cifar100_flow_quick() -> Recipe:
    """CIFAR-100 generator whose images can be recognised after half an hour on two CPU cores.

    `shoestring train cifar100-flow-quick`
    """
    return Recipe(
        name="cifar100-flow-quick",
        summary="CIFAR-100 generator, flow matching, in half an hour on two CPU cores",
        budget=Budget(parameters=1_000_000, steps=5_500, nfe=100),
        data=CIFAR100(scale="signed", tune=0),
        augment=Augment(horizontal_flip=True),
        net=ThriftyUNet(width=64, depths=(1, 1, 2), block="plain", embedding=64, attention=64, patch=2),
        task=Flow(time_mean=-0.6, sampling=NFE_24),
        optimiser=Muon(learning_rate=0.05, betas=(0.9, 0.99)),
        schedule=WarmupStableDecay(warmup=0.02, cooldown=0.7),
        batch_size=64,
        ema=(0.998,),
        cadence=Cadence(log=50, evaluate=2750, checkpoint=500),
    )
