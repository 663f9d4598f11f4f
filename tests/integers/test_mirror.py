"""Halves that a file leaves out."""

import numpy as np
import pytest

from shoestring.integers.mirror import Mirror, mirror_of, whole


@pytest.mark.parametrize(
    ("shape", "mirror"),
    [((3, 3, 3, 3), "image"), ((4, 3, 3, 6), "twins"), ((4, 1, 1, 6), "twins"), ((6, 3, 3, 4), "none")],
)
def test_what_is_left_out_is_known_again(shape: tuple[int, ...], mirror: Mirror) -> None:
    held = np.random.default_rng(0).integers(-127, 128, shape).astype(np.int8)
    kernels = whole(held, mirror)
    assert mirror_of(kernels) == mirror
    if mirror != "none":
        assert len(kernels) == 2 * len(held)
        np.testing.assert_array_equal(
            kernels[len(held)], np.roll(held[0, :, ::-1], shape[3] // 2 * (mirror == "twins"), 2)
        )
        kernels[-1, 0, 0, 0] += 1
        assert mirror_of(kernels) == "none"
