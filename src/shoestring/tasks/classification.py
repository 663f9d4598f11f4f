"""Learning to name what an image shows."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NoReturn

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor, nn

from shoestring.core.config import Spec
from shoestring.core.device import Machine
from shoestring.core.errors import RecipeError
from shoestring.tasks.contract import Batch, Loss


class ClassifierTask(Spec):
    """Classification by any loss; one phase that trains the classifier."""

    mixup: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest weight of another image, and of its class, in a training image; uniform from 0 (arXiv 1710.09412)."""
    class_weights: bool = False
    """Weigh the loss of an image by the inverse frequency of its class in train, so that every class counts alike."""
    views: Annotated[int, Field(ge=1, le=64)] = 1
    """Views of an image whose answers the trained net averages (test-time augmentation), each a net call: the image as
    it is, and others that are changed as in training, by a quarter of it."""
    phases: ClassVar[tuple[str, ...]] = ("classifier",)
    drawn: ClassVar[tuple[str, ...]] = ("mixup",)
    generator_net: ClassVar[str | None] = None
    net_output: ClassVar[Literal["logits"]] = "logits"
    sampling: ClassVar[None] = None
    conditional: ClassVar[bool] = False
    unconditional: ClassVar[bool] = False
    pixel_range: ClassVar[Literal["signed", "data"]] = "data"
    loss_unit: ClassVar[str] = "nats"
    forward_passes: ClassVar[Mapping[str, int]] = {"classifier": 3}

    @property
    def nfe(self) -> int:
        """Net calls per image."""
        return self.views

    def draw(self, batch: Batch, latent: tuple[int, ...], step: int, generator: Generator) -> Batch:
        """The batch as it is; with mixup, each image blended with the one before it; batches are in random order.

        Adds "mixed_labels" (n,), the classes of the other images, and "mixed_weight" (n,), how much of them there is.
        """
        if not self.mixup:
            return batch
        images = batch["images"]
        weight = self.mixup * torch.rand(len(images), generator=generator, device=images.device)
        return batch | {
            "images": torch.lerp(images, images.roll(1, 0), weight.view(-1, 1, 1, 1)),
            "mixed_labels": batch["labels"].roll(1, 0),
            "mixed_weight": weight,
        }

    def require_nets(self, nets: Mapping[str, Sequence[Tensor]], net: Spec) -> None:
        """Takes any classifier."""

    def sampler(self, nets: nn.ModuleDict, machine: Machine, *, mirrored: bool) -> NoReturn:
        """Refused: a classifier makes no images."""
        raise RecipeError("this model classifies images; it cannot make them. Use a generator's recipe")

    def of_split(self, labels: Tensor, num_classes: int) -> Batch:
        """With `class_weights`, "class_weights" (num_classes,), by the inverse frequency of each class."""
        return {"class_weights": inverse_frequency(labels, num_classes)} if self.class_weights else {}

    def parts(self, images: int) -> tuple[int]:
        """All of them."""
        return (images,)

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each image (n,), of logits (n, num_classes) and labels (n,)."""
        raise NotImplementedError

    def loss(self, phase: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        """Mean loss of a batch, and its accuracy; of a mixed image, by the class of its larger part.

        With "class_weights" (num_classes,) in the batch, each image's loss is weighed by that of its class.
        """
        logits = nets["classifier"](batch["images"]).float()
        loss = self._weighed(logits, batch, "labels")
        if self.mixup:
            loss = torch.lerp(loss, self._weighed(logits, batch, "mixed_labels"), batch["mixed_weight"])
        accuracy = (logits.detach().argmax(1) == batch["labels"]).float().mean()
        return loss.mean(), {"accuracy": accuracy}

    def _weighed(self, logits: Tensor, batch: Batch, labels: str) -> Tensor:
        loss = self.each(logits, batch[labels])
        return loss * batch["class_weights"][batch[labels]] if "class_weights" in batch else loss


def inverse_frequency(labels: Tensor, num_classes: int) -> Tensor:
    """A weight for each class, float32 (num_classes,): n / (classes with images x its images); 0 without images.

    Their mean over the images is 1, so that the loss keeps its scale.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    weights = len(labels) / ((counts > 0).sum() * counts.clamp(min=1))
    return torch.where(counts > 0, weights, 0).float()


class Classify(ClassifierTask):
    """Classification by cross-entropy; one phase that trains the classifier."""

    kind: Literal["classify"] = "classify"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability moved from the true class to all classes alike (arXiv 1512.00567)."""

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy of each image (n,)."""
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing, reduction="none")
