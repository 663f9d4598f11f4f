"""Classification by a loss that the user wrote."""

from typing import ClassVar

from torch import Tensor

from shoestring.core.errors import RecipeError
from shoestring.core.outside import Outside
from shoestring.core.processes import sharing
from shoestring.tasks.classification import ClassifierTask


class CustomLoss(ClassifierTask, Outside):
    """Classification by a user's function of (logits (n, num_classes), labels (n,)); further arguments are options.

    It gives the mean loss, or the loss of each image (n,), which mixup, class weights and processes that share a step
    need.
    """

    part: ClassVar[str] = "task"
    positional: ClassVar[int] = 2

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What the function gives.

        Raises:
            RecipeError: It fails, or gives something else.
        """
        found = self.call(logits, labels)
        if not isinstance(found, Tensor) or found.shape not in ((), labels.shape):
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise RecipeError(f"{self.words} gives {what} for {len(labels)} images, not one number or one for each")
        if (self.mixup or self.class_weights) and not found.ndim:
            field = "task.mixup" if self.mixup else "task.class_weights"
            raise RecipeError(f"{self.words} gives a mean, but {field} weighs images: give a loss for each, (n,)")
        if sharing().count > 1 and not found.ndim:
            raise RecipeError(
                f"{self.words} gives one number for all images, which processes that share them cannot add up: give a "
                "loss for each, (n,)"
            )
        return found
