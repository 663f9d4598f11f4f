import numpy as np
import pytest
import torch
from PIL import Image

from shoestring.metrics.features.resize import bicubic_matrix, resize

torch.set_num_threads(1)


def images(n, height, width):
    generator = torch.Generator().manual_seed(height)
    return torch.randint(256, (n, 3, height, width), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (1, 5), (64, 48), (299, 299), (400, 310), (1000, 37)])
def test_clean_is_pils_bicubic_in_float_per_channel_clipped(size):
    before = images(2, *size)
    expected = np.stack(
        [
            [
                np.asarray(Image.fromarray(c.astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC))
                for c in image
            ]
            for image in before.numpy()
        ]
    )
    after = resize(before, "clean")
    assert after.shape == (2, 3, 299, 299)
    assert after.dtype == torch.float32
    assert np.abs(after.numpy() * 128 + 128 - expected.clip(0, 255)).max() < 1e-4


def test_clean_clips_what_overshoots_at_edges():
    edge = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    edge[..., 16:] = 255
    after = resize(edge, "clean")
    assert after.min() == -1
    assert after.max() == 127 / 128


def test_legacy_is_bilinear_between_pixel_centres():
    before = images(1, 32, 20)
    after = resize(before, "legacy")[0].double().numpy()

    def value(channel, row, column):
        y, x = ((at + 0.5) * length / 299 - 0.5 for at, length in ((row, 32), (column, 20)))
        y, x = min(max(y, 0), 31), min(max(x, 0), 19)
        top, left = int(y), int(x)
        corners = [(top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)]
        weights = [(1 - (y - top)) * (1 - (x - left)), (1 - (y - top)) * (x - left)]
        weights += [(y - top) * (1 - (x - left)), (y - top) * (x - left)]
        return sum(
            w * before[0, channel, min(r, 31), min(c, 19)].item() for w, (r, c) in zip(weights, corners, strict=True)
        )

    for at in [(0, 0, 0), (1, 5, 7), (2, 150, 149), (0, 298, 3), (1, 200, 298)]:
        assert after[at] == pytest.approx(value(*at) / 127.5 - 1, abs=1e-4)


def test_legacy_does_not_antialias():
    stripes = torch.zeros(1, 3, 299 * 3, 299 * 3, dtype=torch.uint8)
    stripes[..., 1::3] = 255
    assert resize(stripes, "legacy").min() == 1
    assert resize(stripes, "clean").mean() < 0


def test_grey_stays_grey():
    grey = torch.full((1, 3, 9, 400), 77, dtype=torch.uint8)
    assert torch.allclose(resize(grey, "clean"), torch.tensor((77 - 128) / 128), atol=1e-6)
    assert torch.allclose(resize(grey, "legacy"), torch.tensor(77 / 127.5 - 1), atol=1e-6)


def test_bicubic_weights_sum_to_one_and_keep_equal_sizes():
    assert torch.allclose(bicubic_matrix(32, 299).sum(1), torch.ones(299, dtype=torch.float64), atol=1e-14)
    assert torch.equal(bicubic_matrix(7, 7), torch.eye(7, dtype=torch.float64))
