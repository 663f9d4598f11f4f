"""The contract between tasks and the one training loop."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

from torch import Generator, Tensor, nn

Batch = dict[str, Tensor]
"""Everything a loss depends on besides the nets: "images", "labels", and what the task draws."""

Loss = tuple[Tensor, dict[str, Tensor]]
"""The scalar to minimise, and facts to log: 0-dimensional tensors by name."""


NO_CLASS = -1
"""The label of an image whose class is not told."""


class Task(Protocol):
    """What is learnt. Each step runs every phase once; a phase updates the net it is named after."""

    phases: ClassVar[tuple[str, ...]]
    maker: ClassVar[str | None]
    """The net that makes images out of latents; None when none does."""

    @property
    def conditional(self) -> bool:
        """Whether the net that makes images can be told what class to make."""
        ...

    @property
    def classless(self) -> bool:
        """Whether that net also learnt to make images without being told a class."""
        ...

    @property
    def pixel_range(self) -> Literal["signed", "data"]:
        """Pixels that the nets are made for: those in -1..1, or as the data normalises them."""
        ...

    @property
    def loss_unit(self) -> str:
        """Unit of the losses; empty where they have none."""
        ...

    @property
    def work(self) -> Mapping[str, float]:
        """Arithmetic of a step for each image, by net, in forward passes.

        A backward pass counts 2, or 1 through a net that is not updated (what the first layer saves is counted as if it
        were done).
        """
        ...

    @property
    def evaluations(self) -> int:
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

        A phase may leave tensors in the batch for later phases of the same step.
        """
        ...
