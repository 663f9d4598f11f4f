"""The features of one set of images, with what follows from them alone."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from torch import Tensor

from shoestring.measure.features import Moments, moments

Kept = TypeVar("Kept")


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features, and whatever is computed of them alone: once, when it is first asked for.

    A generator's samples of several seeds are compared with the same real images, and with several sets of these.

    Attributes:
        features: (n, dimensions), on the CPU; not to be changed.
        extractor: Identity of their extractor.
    """

    features: Tensor
    extractor: str
    _kept: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any], repr=False)

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance; errors as of `features.moments`."""
        return moments(self.features, self.extractor)

    def once(self, name: Hashable, compute: Callable[[Tensor], Kept]) -> Kept:
        """What a function makes of the features; that of the first call for every later one of the same name."""
        if name not in self._kept:
            self._kept[name] = compute(self.features)
        return self._kept[name]
