"""Data by a user's function."""

from typing import Any, ClassVar, Literal, Self

from shoestring.core.config import Spec
from shoestring.core.errors import RecipeError
from shoestring.core.outside import Outside
from shoestring.data.given import GivenSpec, Labelled, divided, given_data, is_data, labelled

_read: dict[str, Labelled] = {}


class CustomData(GivenSpec, Outside):
    """Data by a user's function of the split, "train" or "test"; further arguments are options.

    It gives (images, labels) or (images, labels, class names): uint8 arrays or tensors (n, c, h, w), (n, h, w, c) or
    (n, h, w), and whole numbers (n,); or a data set of torch or Hugging Face. A data set itself, or a dict of two, will
    do as well.
    """

    part: ClassVar[str] = "data"
    positional: ClassVar[int] = 1
    objects: ClassVar[bool] = True

    @classmethod
    def from_object(cls, given: Any) -> Spec | None:
        """The spec of a data set that a program has."""
        return given_data(given) if is_data(given) else None

    def whole(self, split: Literal["train", "test"]) -> Labelled:
        """All images of train, or of test; read once."""
        key = f"{self.kind} {self.source} {self.options.model_dump_json()} {self.test_fraction}"
        if f"{key} {split}" not in _read:
            if callable(self.made_by):
                _read[f"{key} {split}"] = labelled(self.call(split), f"{split} of {self.words}")
            elif is_data(self.made_by):
                found = divided(self.made_by, self.words, self.test_fraction)
                _read.update({f"{key} {name}": images for name, images in found.items()})
            else:
                raise RecipeError(f"{self.words} is neither a function of the split nor a data set")
        return _read[f"{key} {split}"]

    def named(self, folder: object) -> Self:
        """This spec with the shape and the class names filled in, so that it need not be read to know them.

        Args:
            folder: Not needed.
        """
        return self.replace(image_shape=self.shape, names=self.classes)
