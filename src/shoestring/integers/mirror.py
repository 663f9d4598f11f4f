"""Kernels that are mirror images of others, of which a file holds half: how the rest follows."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Mirror = Literal["none", "image", "twins"]
"""How the second half of a layer's kernels follows from the first: not at all; mirrored left and right; mirrored, and
with their channels rolled by half of them as well, since what they read has twins too."""


def whole(kernels: NDArray[Any], mirror: Mirror) -> NDArray[Any]:
    """The kernels of all outputs, (outputs, height, width, channels), from those that are held."""
    if mirror == "none":
        return kernels
    mirrored = kernels[:, :, ::-1]
    if mirror == "twins":
        mirrored = np.roll(mirrored, kernels.shape[3] // 2, 3)
    return np.concatenate((kernels, mirrored))


def mirror_of(kernels: NDArray[Any]) -> Mirror:
    """How the second half of kernels (outputs, height, width, channels) of one group follows from the first."""
    outputs, _, width, channels = kernels.shape
    if outputs % 2 == 0:
        known: list[Mirror] = ["image"] * (width > 1) + ["twins"] * (channels % 2 == 0)
        for mirror in known:
            if np.array_equal(kernels, whole(kernels[: outputs // 2], mirror)):
                return mirror
    return "none"
