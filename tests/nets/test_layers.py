import torch
from torch import channels_last, nn

from shoestring.nets.layers import PixelMean


def test_pixel_mean_is_average_pooling_whose_gradient_keeps_the_memory_order() -> None:
    gradients = []
    for pool in (PixelMean(), nn.AdaptiveAvgPool2d(1)):
        images = torch.arange(480.0).view(2, 5, 8, 6).sin().to(memory_format=channels_last).requires_grad_()
        found = pool(images)
        assert found.shape == (2, 5, 1, 1)
        torch.testing.assert_close(found, images.mean((2, 3), keepdim=True))
        gradients.append(*torch.autograd.grad(found.square().sum(), images))
    mine, usual = gradients
    torch.testing.assert_close(mine, usual)
    assert mine.is_contiguous(memory_format=channels_last)
    assert not usual.is_contiguous(memory_format=channels_last)  # else the module has no purpose any more
