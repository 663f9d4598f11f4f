import io

import pytest
import torch
from PIL import Image
from torch import Tensor

from shoestring.core.image_grid import grid, png, to_pil
from shoestring.core.rng import generator


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 255, shape, generator=generator(0, "pictures"), dtype=torch.uint8)


def pixels(content: bytes) -> Tensor:
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    data = torch.tensor(list(image.tobytes()), dtype=torch.uint8)
    return data.view(image.height, image.width, -1).permute(2, 0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_every_pixel(channels: int) -> None:
    image = noise(channels, 5, 7)
    assert torch.equal(pixels(png(image)), image)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_has_images_in_rows_with_white_between(channels: int) -> None:
    images = noise(5, channels, 4, 6)
    sheet = pixels(grid(images, columns=2, gap=1, zoom=1))
    assert sheet.shape == (channels, 3 * 4 + 2, 2 * 6 + 1)
    covered = torch.zeros(sheet.shape[1:], dtype=torch.bool)
    for index, (top, left) in enumerate([(0, 0), (0, 7), (5, 0), (5, 7), (10, 0)]):
        assert torch.equal(sheet[:, top : top + 4, left : left + 6], images[index])
        covered[top : top + 4, left : left + 6] = True
    assert bool((sheet[:, ~covered] == 255).all())


def test_zoom_repeats_pixels() -> None:
    images = noise(2, 3, 4, 4)
    small, large = pixels(grid(images, 2, zoom=1)), pixels(grid(images, 2, zoom=3))
    assert torch.equal(large, small.repeat_interleave(3, 1).repeat_interleave(3, 2))


@pytest.mark.parametrize("wrong", [torch.zeros(3, 4, 4), noise(2, 4, 4), noise(1, 3, 4, 4)])
def test_what_is_no_image_is_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match="expected a uint8 image"):
        to_pil(wrong)
