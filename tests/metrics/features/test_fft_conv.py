import pytest
import torch
from torch.nn import functional as F

from shoestring.metrics.features.inception_net import AveragedConvolution, LongConvolution, circular_convolution

torch.set_num_threads(1)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("length", "taps", "products"), [(17, 7, 29), (16, 5, 26), (5, 3, 8), (2, 7, 8), (1, 1, 2)])
def test_products_at_each_frequency_are_the_padded_convolution(length, taps, products):
    signal, kernel, out = circular_convolution(length, taps)
    assert signal.shape == (products, length)
    assert kernel.shape == (products, taps)
    x, w = normal(4, length), normal(taps, seed=1)
    found = ((x @ signal.T) * (kernel @ w)) @ out.T
    expected = F.conv1d(x[:, None], w.view(1, 1, -1), padding=taps // 2)[:, 0]
    assert torch.allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kernel", [(1, 7), (7, 1)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_long_convolution_is_the_direct_one(kernel, memory_format):
    layer = LongConvolution("some", 6, 5, kernel, length=17)
    weight, bias = normal(5, 6, *kernel), normal(5, seed=1)
    norm = {"weight": torch.ones(5), "bias": bias, "running_mean": torch.zeros(5)}
    norm["running_var"] = torch.full((5,), 0.999, dtype=torch.float64)  # with the epsilon of 0.001, a norm of nothing
    layer.read({"some.conv.weight": weight} | {f"some.bn.{part}": value for part, value in norm.items()})
    images = normal(3, 6, 17, 17, seed=2)
    expected = F.relu(F.conv2d(images, weight, bias, padding=(kernel[0] // 2, kernel[1] // 2)))
    found = layer(images.float().contiguous(memory_format=memory_format))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_averaging_after_the_convolution_changes_nothing():
    layer = AveragedConvolution("some", 4, 3)
    layer.weight.copy_(normal(3, 4, 1, 1))
    layer.bias.copy_(normal(3, seed=1))
    images = normal(2, 4, 5, 6, seed=2).float()
    ema = F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    expected = F.relu(F.conv2d(ema, layer.weight, layer.bias))
    assert torch.allclose(layer(images), expected, atol=1e-6)
