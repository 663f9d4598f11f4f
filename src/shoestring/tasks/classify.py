"""Learning to name what an image shows."""

from typing import Annotated, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor, nn

from shoestring.spec import Spec
from shoestring.tasks.phase import Batch, Loss


class Classify(Spec):
    """Classification by cross-entropy; one phase that trains the classifier."""

    kind: Literal["classify"] = "classify"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability moved from the true class to all classes alike (Szegedy et al. 2016)."""
    phases: ClassVar[tuple[str, ...]] = ("classifier",)
    maker: ClassVar[str | None] = None
    evaluations: ClassVar[int] = 1

    def draw(self, batch: Batch, latent: tuple[int, ...], step: int, generator: Generator) -> Batch:
        """The batch as it is: classification needs no noise of its own."""
        return batch

    def loss(self, phase: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        """Mean cross-entropy of a batch, and its accuracy."""
        logits = nets["classifier"](batch["images"]).float()
        loss = F.cross_entropy(logits, batch["labels"], label_smoothing=self.label_smoothing)
        accuracy = (logits.detach().argmax(1) == batch["labels"]).float().mean()
        return loss, {"accuracy": accuracy}
