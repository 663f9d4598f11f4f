"""Tensors that are kept for the life of the process are plain ones, whoever asks for them first."""

import functools
import importlib
import pkgutil
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import shoestring
from shoestring.data.dataset import normalise
from shoestring.metrics.features.resize import resize
from shoestring.recipes import RECIPES

CPU = torch.device("cpu")
ARGUMENTS = {
    "shoestring.data.dataset._per_channel": ((0.5, 0.5, 0.5), CPU),
    "shoestring.metrics.features.inception_net.circular_convolution": (17, 7),
    "shoestring.metrics.features.resize.bicubic_matrix": (8, 299),
    "shoestring.tasks.gan.ada_augment._finer": (8, CPU),
}


def kept() -> Iterator[functools._lru_cache_wrapper]:
    """All functions of the package that keep tensors."""
    for module in pkgutil.walk_packages(shoestring.__path__, "shoestring."):
        if module.name.endswith("__main__"):
            continue
        try:
            found = importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "IPython":  # which a notebook brings along
                raise
            continue
        for value in vars(found).values():
            of_tensors = hasattr(value, "cache_info") and "Tensor" in str(value.__annotations__.get("return"))
            if of_tensors and value.__module__ == module.name:
                yield value


def test_all_of_them_are_plain_when_first_asked_for_inside_inference_mode() -> None:
    functions = {f"{function.__module__}.{function.__name__}": function for function in kept()}
    assert set(functions) == set(ARGUMENTS)
    for name, function in functions.items():
        function.cache_clear()
        with torch.inference_mode():
            found = function(*ARGUMENTS[name])
        assert not any(tensor.is_inference() for tensor in ([found] if isinstance(found, Tensor) else found)), name


@pytest.mark.parametrize(
    "use",
    [
        lambda images: normalise(images, RECIPES["cifar100-resnet"]().data),
        lambda images: resize(images, "clean"),
    ],
)
def test_gradients_flow_after_a_use_without(use) -> None:
    for function in kept():
        function.cache_clear()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        use(images.clone())
    images.requires_grad_()
    use(images).square().sum().backward()
    assert bool(images.grad.abs().sum() > 0)
