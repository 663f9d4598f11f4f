from dataclasses import replace

import numpy as np
import pytest
import torch
from projected import PROJECTION, extractor, images

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.metrics.features.extractor import (
    FunctionExtractor,
    batches,
    check_images,
    extract,
    identity,
    moments,
)

torch.set_num_threads(1)


def test_features_of_any_function_are_float32_and_independent_of_the_batch_size():
    expected = (images().flatten(1).double() @ PROJECTION.double()).float()
    for size in (1, 7, 20, 1000):
        calls = []
        found = extract(extractor(calls), images(), Progress(), batch_size=size)
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)
        assert sum(calls) == 20
        assert max(calls) == min(size, 20)
    assert identity(extractor()) == "projection 6 none 0123456789ab"


def test_a_function_with_parameters_leaves_no_graph_behind():
    net = torch.nn.Linear(60, 6)
    found = extract(FunctionExtractor("net", 6, "0" * 12, lambda x: net(x.flatten(1).float())), images(), Progress())
    assert not found.requires_grad


def test_features_of_another_shape_or_not_finite_are_refused():
    with pytest.raises(DataError, match=r"shape \(7, 6\) for 7 images, not \(7, 5\)"):
        extract(replace(extractor(), dimensions=5), images(), Progress(), batch_size=7)
    with pytest.raises(DataError, match="NaN"):
        extract(replace(extractor(), function=lambda x: torch.full((len(x), 6), torch.nan)), images(), Progress())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.rand(4, 3, 8, 8), "must be uint8 in 0..255, got float32;"),
        (torch.full((4, 3, 8, 8), torch.nan), "float32, some of them NaN"),
        (torch.zeros(4, 3, 8, 8, dtype=torch.int64), "got int64"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), r"shape \(n, channels, height, width\), got \(3, 8, 8\)"),
        (torch.zeros(4, 3, 0, 8, dtype=torch.uint8), r"got \(4, 3, 0, 8\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "at least 2 images, got 1"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "at least 2 images, got 0"),
    ],
)
def test_what_is_no_set_of_images_is_refused(wrong, message):
    with pytest.raises(DataError, match=message):
        check_images(wrong)
    with pytest.raises(DataError, match=message):
        extract(extractor(), wrong, Progress())


def test_moments_are_numpys_also_far_from_zero():
    features = torch.randn(5000, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 0.01 + 1000
    found = moments(features, "any")
    assert found.count == 5000
    assert found.mean.dtype == found.covariance.dtype == torch.float64
    assert np.allclose(found.mean, features.numpy().mean(0), rtol=1e-14)
    assert np.allclose(found.covariance, np.cov(features.numpy().T), rtol=1e-9, atol=1e-15)


def test_moments_are_the_same_for_any_batches_even_of_one():
    features = torch.randn(101, 5, generator=torch.Generator().manual_seed(4))
    whole = moments(features, "any")
    for size in (1, 3, 100):
        parts = moments(iter(features.split(size)), "any")
        assert parts.count == 101
        assert torch.allclose(parts.mean, whole.mean, rtol=1e-12)
        assert torch.allclose(parts.covariance, whole.covariance, rtol=1e-12, atol=1e-15)
    streamed = moments(batches(extractor(), images(), 7, lambda _: None), "any")
    assert torch.allclose(streamed.mean, extract(extractor(), images(), Progress()).double().mean(0))


def test_moments_of_too_few_or_broken_features_are_refused():
    for features in (torch.randn(1, 3), torch.randn(0, 3), iter([])):
        with pytest.raises(DataError, match="at least 2 images"):
            moments(features, "any")
    with pytest.raises(DataError, match="NaN or infinity"):
        moments(torch.tensor([[1.0, 2.0], [torch.inf, 0.0]]), "any")


def test_fewer_images_than_dimensions_call_for_caution():
    features = torch.randn(5, 5, generator=torch.Generator().manual_seed(5))
    assert "4 images for 5 dimensions" in str(moments(features[:4], "any").caution)
    assert moments(features, "any").caution is None
