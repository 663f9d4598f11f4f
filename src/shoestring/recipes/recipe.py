"""A recipe: the frozen tree of specs that says all of a training, and the result it claims."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    SerializeAsAny,
    ValidationError,
    model_validator,
)

from shoestring.core.budget import Budget
from shoestring.core.config import Spec, counting, explain
from shoestring.core.device import Engine
from shoestring.core.errors import RecipeError
from shoestring.core.folder_name import folder_name
from shoestring.core.outside import Outside, is_outside, opened
from shoestring.data.addnist import AddNIST
from shoestring.data.augment import Augment
from shoestring.data.cifar100 import CIFAR100
from shoestring.data.custom import CustomData
from shoestring.data.custom_augment import CustomAugment
from shoestring.data.dataset import Normalisation, Signed
from shoestring.data.given import GivenData
from shoestring.data.image_folder import ImageFolder
from shoestring.data.mnist import MNISTDigits
from shoestring.nets.conditional_dcgan import ConditionalDCGAN
from shoestring.nets.custom import CustomNet
from shoestring.nets.dcgan import PlainDCGAN, RefinedDCGAN
from shoestring.nets.digit_sum import DigitSum
from shoestring.nets.mbconv import MBConvNet
from shoestring.nets.mixconv import MixConvNet
from shoestring.nets.resnet import BasicNet, BottleneckNet
from shoestring.nets.separable import SeparableNet
from shoestring.nets.unet import ThriftyUNet
from shoestring.optim.configs import Adam, Muon
from shoestring.optim.custom import CustomSchedule, TorchOptimiser
from shoestring.optim.lr_schedule import Constant, OneCycle, Ramp, StepDecay, WarmupStableDecay
from shoestring.recipes.anneal import PARTS, flat, require_number, scaled
from shoestring.tasks.classification import Classify
from shoestring.tasks.custom import CustomLoss
from shoestring.tasks.flow.flow_matching import Flow
from shoestring.tasks.gan.task import Adversarial

ShippedData = CIFAR100 | AddNIST | MNISTDigits | ImageFolder | GivenData
ShippedNet = (
    MBConvNet
    | BottleneckNet
    | BasicNet
    | MixConvNet
    | SeparableNet
    | DigitSum
    | PlainDCGAN
    | RefinedDCGAN
    | ConditionalDCGAN
    | ThriftyUNet
)
ShippedTask = Classify | Adversarial | Flow
ShippedOptimiser = Adam | Muon
ShippedSchedule = Constant | StepDecay | OneCycle | WarmupStableDecay | Ramp

OPEN: dict[str, tuple[type[Outside], Any]] = {
    "data": (CustomData, ShippedData),
    "augment": (CustomAugment, Augment),
    "net": (CustomNet, ShippedNet),
    "task": (CustomLoss, ShippedTask),
    "optimiser": (TorchOptimiser, ShippedOptimiser),
    "schedule": (CustomSchedule, ShippedSchedule),
}
"""For each part that may come from outside the package, what takes it in, and the shipped ones."""

Data = Annotated[SerializeAsAny[ShippedData | CustomData], opened(*OPEN["data"])]
Augmentation = Annotated[SerializeAsAny[Augment | CustomAugment], opened(*OPEN["augment"])]
Net = Annotated[SerializeAsAny[ShippedNet | CustomNet], opened(*OPEN["net"])]
Learning = Annotated[SerializeAsAny[ShippedTask | CustomLoss], opened(*OPEN["task"])]
Optimiser = Annotated[SerializeAsAny[ShippedOptimiser | TorchOptimiser], opened(*OPEN["optimiser"])]
Schedule = Annotated[SerializeAsAny[ShippedSchedule | CustomSchedule], opened(*OPEN["schedule"])]

Anneal = Annotated[dict[str, Annotated[ShippedSchedule, Field(discriminator="kind")]], BeforeValidator(flat)]

NOT_FINGERPRINTED = ("base", "cadence", "engine", "summary", "published")
"""The fields of a recipe that change nothing that is learnt."""


Event = Literal["log", "evaluate", "checkpoint"]
"""What a training does from time to time."""


class Cadence(Spec):
    """How often a training reports and saves; changes nothing that is learnt."""

    log: PositiveInt | None = None
    """Steps between log records, by default 50; fewer in a training of 50 steps and more that would have less than 50
    records."""
    evaluate: PositiveInt | None = None
    """Steps between looks at the tune split, or at samples. By default 500, or half of a short training."""
    checkpoint: PositiveInt | None = None
    """Steps between checkpoints. By default 500, or a tenth of a short training."""
    keep: PositiveInt | None = None
    """Steps between checkpoints that stay after the training, for `check` to replay from. By default only the last two
    stay."""

    def due(self, what: Event, step: int, steps: int) -> bool:
        """Whether it is time, after a step; after the last of all steps it always is."""
        between = {
            "log": min(self.log or 50, steps // 50 or self.log or 1),
            "evaluate": self.evaluate or min(500, max(steps // 2, 1)),
            "checkpoint": self.checkpoint or min(500, max(steps // 10, 1)),
        }
        kept = what == "checkpoint" and self.keep is not None and step % self.keep == 0
        return step == steps or kept or step % between[what] == 0


class Published(Spec):
    """A result that somebody reported for this system."""

    metric: Literal["accuracy", "fid"]
    """What was measured."""
    value: float
    """Accuracy as a fraction, or FID."""
    line: str
    """The result in the publication's own form."""
    source: str
    """Who reported it."""


@dataclass(frozen=True)
class Annealed:
    """The parts of a recipe whose numbers may change over the steps, as they are at one of them."""

    task: Learning
    augment: Augmentation
    optimiser: Optimiser


class Recipe(Spec):
    """Everything that decides what a training learns."""

    name: Annotated[str, AfterValidator(folder_name)]
    """What the recipe is called; the folder of its runs begins with it."""
    base: str | None = None
    """The shipped recipe that this one, of a name of its own, was made from."""
    summary: str = ""
    """One line about it."""
    budget: Budget
    """The hard limits."""
    data: Data
    """Where images come from."""
    augment: Augmentation = Augment()
    """Random changes to training images."""
    net: Net
    """The architecture."""
    task: Learning
    """What is learnt."""
    optimiser: Optimiser = Adam()
    """How weights follow gradients; one optimiser of this kind for each phase."""
    schedule: Schedule = Constant()
    """Learning rate over the steps."""
    anneal: Anneal = Field(default_factory=dict[str, ShippedSchedule])
    """Schedules of other numbers, by field, such as "task.r1", "optimiser.betas.1" or "augment.strength": each
    multiplies its number as the schedule above does the learning rate."""
    batch_size: PositiveInt = 128
    """Images per step."""
    ema: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """Decays of EMA weights; the first is the one that is evaluated and saved."""
    seed: NonNegativeInt = 0
    """Decides initialisation, data order, augmentation and noise."""
    cadence: Cadence = Cadence()
    """How often to report and save."""
    engine: Engine = Engine()
    """How the arithmetic is done."""
    pretrained: str | None = None
    """A run, or a recipe whose weights are shipped: training starts from its weights where names and shapes agree."""
    published: Published | None = None
    """The result to compare with."""

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        nets = self.net.examples(self.data.shape)
        if not set(nets) >= set(self.task.phases):
            raise ValueError(
                f"task {self.task.kind!r} trains {' and '.join(self.task.phases)}, but net {self.net.kind!r} "
                f"has {' and '.join(sorted(nets))}; choose a net and a task that fit"
            )
        self.task.require_nets(nets, self.net)
        if isinstance(self.net, DigitSum) and not isinstance(self.data, AddNIST):
            raise ValueError(
                f"net 'digit-sum' adds up the digits it reads, so its classes are sums; data {self.data.kind!r} has "
                "others: choose another net, such as 'basic'"
            )
        if not self.makes_images and self.task.nfe > 1 and not isinstance(self.augment, Augment):
            raise ValueError(
                "task.views changes images by the recipe's augmentation, which is one of your own: set it to 1"
            )
        self.budget.admit_nfe(self.task.nfe)
        for field in self.anneal:
            require_number(self, field)
        last = self.budget.steps - 1
        for step in (0, last // 2, last):
            try:
                self.annealed(step)
            except RecipeError as error:
                raise ValueError(f"anneal at step {step:,}: {error}") from error
        return self

    def annealed(self, step: int) -> Annealed:
        """The parts whose numbers may change, with those that hold at a step of 0..steps-1.

        Raises:
            RecipeError: One of them is out of its range.
        """
        parts: dict[str, Any] = {part: getattr(self, part) for part in PARTS}
        for field, schedule in self.anneal.items():
            part, *path = field.split(".")
            parts[part] = scaled(parts[part], path, schedule.factor(step, self.budget.steps))
        return Annealed(**parts)

    def anneals(self, part: str) -> bool:
        """Whether a number of a part, such as "optimiser", changes over the steps."""
        return any(field.startswith(f"{part}.") for field in self.anneal)

    @property
    def annealed_before_the_loss(self) -> bool:
        """Whether loss and optimisers are the same at every step, given their batch."""
        drawn = ("augment.", *(f"task.{field}." for field in self.task.drawn))
        return all(f"{field}.".startswith(drawn) for field in self.anneal)

    @property
    def normalisation(self) -> Normalisation:
        """How the nets see pixels: as the task needs them or, where it takes any range, as the data has them."""
        return Signed(self.data.shape[0]) if self.task.pixel_range == "signed" else self.data

    @property
    def makes_images(self) -> bool:
        """Whether this trains a generator of images; else a classifier of them."""
        return self.task.generator_net is not None

    @cached_property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one input of the net that makes images; empty when none does."""
        net = self.task.generator_net
        return tuple(self.net.examples(self.data.shape)[net][0].shape[1:]) if net else ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values from which `from_json` gives an equal recipe."""
        return self.model_dump(mode="json")

    @staticmethod
    def from_json(values: Any, origin: str = "the recipe") -> "Recipe":
        """A recipe from plain JSON values.

        Raises:
            RecipeError: A key is unknown, a value out of range, or parts do not fit; says which, and the nearest key.
        """
        try:
            return Recipe.model_validate(values)
        except ValidationError as error:
            raise RecipeError(f"{origin} is not valid:\n{explain(error)}") from error

    def fingerprint(self) -> str:
        """Eight hex digits that differ for recipes that learn, or answer, different things.

        Fields at their default do not count, so that recipes of former versions keep theirs; nor do cadence and engine.
        """
        values = {name: value for name, value in counting(self).items() if name not in NOT_FINGERPRINTED}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def parts_of(recipe: Recipe) -> dict[str, Spec]:
    """The parts of a recipe that may come from outside the package, by field."""
    return {name: getattr(recipe, name) for name in OPEN}


def has_outside(recipe: Recipe) -> bool:
    """Whether any part of a recipe is from outside the package."""
    return any(is_outside(part) for part in parts_of(recipe).values())
