"""What a task is to the rest of the package: to the one training loop, and to a generator that makes images."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol

from torch import Generator, Tensor, nn

from shoestring.core.config import Spec
from shoestring.core.device import Machine

Batch = dict[str, Tensor]
"""Everything a loss depends on besides the nets: "images", "labels", and what the task draws."""

Loss = tuple[Tensor, dict[str, Tensor]]
"""The scalar to minimise, and metrics to log: 0-dimensional tensors by name."""


NO_CLASS = -1
"""The label of an image whose class the nets are not given."""


class Sampling(Spec):
    """How a trained generator makes images: the options of a recipe's own sampler, and of `--sampling.*`."""

    @property
    def nfe(self) -> int:
        """Net calls per image (number of function evaluations); a backward pass through a net counts as one."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """How images are made, in short, for captions and tables."""
        raise NotImplementedError


class Sampler(Protocol):
    """Trained nets that make images, one batch at a time; pixels are as the nets see them.

    Labels are int64 (n,), classes or NO_CLASS, or mixtures of classes, float (n, num_classes); nets that are not
    conditional ignore them.
    """

    def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        """The images (n, c, h, w) that the nets make of latent vectors (n, *latent) as they are given, in float32."""
        ...

    def sample(self, latents: Tensor, labels: Tensor) -> Tensor:
        """The images (n, c, h, w) that are shown: of standard normal latents, truncated and guided as the task says."""
        ...

    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        """The discriminator's logit for each image, (n,), float32.

        Raises:
            RecipeError: There is no discriminator.
        """
        ...


class Task(Protocol):
    """What is learnt. Each step runs every phase once; a phase updates the net it is named after."""

    phases: ClassVar[tuple[str, ...]]
    drawn: ClassVar[tuple[str, ...]]
    """Fields whose numbers `draw` reads and `loss` does not, so that a graph captured on a GPU need not hold them."""
    generator_net: ClassVar[str | None]
    """The net that makes images out of latents; None when none does."""

    @property
    def net_output(self) -> Literal["logits", "images", "velocity"]:
        """What the net gives that leaves with an export: class logits, images by one call, or a flow's velocity."""
        ...

    @property
    def sampling(self) -> Sampling | None:
        """How images are made; None where none are."""
        ...

    def sampler(self, nets: nn.ModuleDict, machine: Machine, *, mirrored: bool) -> Sampler:
        """Nets that make images as `sampling` says.

        Args:
            nets: By name, trained; their batch norms may be folded into their convolutions.
            machine: How the arithmetic is done.
            mirrored: Whether the nets were trained on mirrored images as well.

        Raises:
            RecipeError: The task makes no images.
        """
        ...

    def require_nets(self, nets: Mapping[str, Sequence[Tensor]], net: Spec) -> None:
        """Does nothing if the task can train some nets, which are those that it names at least.

        Args:
            nets: Examples of each net's inputs, by its name.
            net: The spec that they are of.

        Raises:
            ValueError: It cannot; says what to change.
        """
        ...

    def of_split(self, labels: Tensor, num_classes: int) -> Batch:
        """What every batch is given of the whole training split, by name, such as weights of classes.

        Args:
            labels: Those of the split, int64 (n,).
            num_classes: How many classes there are.
        """
        ...

    @property
    def conditional(self) -> bool:
        """Whether the net that makes images takes the class to make."""
        ...

    @property
    def unconditional(self) -> bool:
        """Whether that net also learnt to make images without a class."""
        ...

    @property
    def pixel_range(self) -> Literal["signed", "data"]:
        """Pixels that the nets are made for: those in -1..1, or as the data normalises them."""
        ...

    def parts(self, images: int) -> tuple[int, ...]:
        """How many images of a step's each part holds with which nets are called by themselves: first part first."""
        ...

    @property
    def loss_unit(self) -> str:
        """Unit of the losses; empty where they have none."""
        ...

    @property
    def forward_passes(self) -> Mapping[str, float]:
        """Arithmetic of a step for each image, by net, in forward passes.

        A backward pass counts 2, or 1 through a net that is not updated (what the first layer saves is counted as if it
        were done).
        """
        ...

    @property
    def nfe(self) -> int:
        """Net calls for one class or one image."""
        ...

    def draw(self, batch: Batch, latent: tuple[int, ...], step: int, generator: Generator) -> Batch:
        """The batch with the task's own random numbers added, so that the loss itself draws none.

        Args:
            batch: "images" (n, c, h, w) as nets see them and "labels" (n,).
            latent: Shape of one input of the net that makes images; empty when none does.
            step: The optimisation step, from 0.
            generator: On the batch's device, seeded for this step.
        """
        ...

    def loss(self, phase: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        """The loss of one phase: a pure function of nets and batch.

        A phase may leave tensors in the batch for later phases of the same step. Where processes share the images of a
        step, the batch has this one's share, and the mean of the losses over processes is the whole batch's.
        """
        ...
