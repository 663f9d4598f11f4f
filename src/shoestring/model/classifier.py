"""A trained classifier: uint8 images in, logits out."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from shoestring.core.device import Machine
from shoestring.data.dataset import normalise, pixels_of
from shoestring.model.pixels import over_batches
from shoestring.nets.digit_sum import DigitReader
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.classification import ClassifierTask


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes:
        recipe: What the net was trained as.
        nets: Holds "classifier", on the machine's device, in evaluation mode.
        machine: How the arithmetic is done.
    """

    recipe: Recipe
    nets: nn.ModuleDict
    machine: Machine

    def with_views(self, count: int | None) -> "Classifier":
        """The same classifier, answering by another number of views of each image; None leaves it as it is.

        Raises:
            RecipeError: The number is out of range, or the recipe's augmentation cannot make views.
        """
        task = self.recipe.task
        assert isinstance(task, ClassifierTask)
        return (
            self
            if count in (None, task.views)
            else replace(self, recipe=self.recipe.replace(task=task.replace(views=count)))
        )

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Class logits (n, num_classes), float32, of images (n, c, h, w).

        Args:
            images: uint8 in 0..255, or floats in 0..1; any number, since they are taken in batches.

        Raises:
            DataError: The images are of another shape, type or range.
            DivergedError: A logit is NaN or infinite.
        """
        return over_batches(self, self.logits_of_normalised, images, doing="answers with")

    @torch.inference_mode()
    def logits_of_normalised(self, images: Tensor) -> Tensor:
        """Class logits (n, num_classes), float32, of a batch that `data.loader.batches` gave; nothing is checked.

        By several views they are the logarithm of the mean of the probabilities.
        """
        with self.machine.autocast():
            alone = self.nets["classifier"](images).float()
            if self.recipe.task.nfe == 1:
                return alone
            pixels, of = pixels_of(images, self.recipe.normalisation), self.recipe.normalisation
            views = (self.recipe.augment.view(pixels, number) for number in range(1, self.recipe.task.nfe))
            seen = [alone, *(self.nets["classifier"](normalise(view, of)).float() for view in views)]
        return torch.stack([one.log_softmax(1) for one in seen]).logsumexp(0) - math.log(len(seen))

    @torch.inference_mode()
    def digits(self, images: Tensor) -> Tensor | None:
        """Probabilities (n, c, 10) of the digit in each channel, where the net reads digits; else None.

        Each channel's is what the net sees there, before it knows of the other channels or of which sums there are, in
        the image as it is.

        Args:
            images: As for `logits`.
        """
        net = self.nets["classifier"]
        if not isinstance(net, DigitReader):
            return None

        def read(batch: Tensor) -> Tensor:
            with self.machine.autocast():
                return net.digits(batch).float().exp()

        return over_batches(self, read, images, doing="reads")
