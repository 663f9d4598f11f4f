import math

import numpy as np
import pytest
import torch

from shoestring.core.errors import DataError
from shoestring.metrics.features.extractor import FeatureSet
from shoestring.metrics.generative import kid as kernel
from shoestring.metrics.generative.kid import kernel_distance

torch.set_num_threads(1)


def draw(n, dimensions, seed, shift=0.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64)
    points = torch.randn(n, dimensions, generator=generator, dtype=torch.float64) @ mixing + shift
    return FeatureSet(points.to(dtype), "any")


def by_loops(real, generated):
    def kernel(x, y):
        return (float(x @ y) / len(x) + 1) ** 3

    def within(features):
        pairs = [kernel(x, y) for i, x in enumerate(features) for j, y in enumerate(features) if i != j]
        return sum(pairs) / len(pairs)

    cross = [kernel(x, y) for x in real for y in generated]
    return within(real) + within(generated) - 2 * sum(cross) / len(cross)


def test_kernel_distance_is_that_of_explicit_loops(monkeypatch):
    real, generated = draw(23, 4, 9), draw(17, 4, 10, shift=0.3)
    whole = kernel_distance(real, generated)
    assert whole.value == pytest.approx(by_loops(real.features, generated.features), rel=1e-10)
    monkeypatch.setattr(kernel, "_ROWS", 5)
    assert kernel_distance(draw(23, 4, 9), draw(17, 4, 10, shift=0.3)).value == pytest.approx(whole.value, rel=1e-12)


def test_kernel_distance_of_float32_features_is_that_of_float64():
    # As features of Inception are: not negative, with a mean far above their differences.
    single = [draw(1500, 64, seed, shift=20 + seed, dtype=torch.float32) for seed in (13, 14)]
    single = [FeatureSet((one.features / 60).relu(), "any") for one in single]
    double = [FeatureSet(one.features.double(), "any") for one in single]
    found, exact = kernel_distance(*single, subsets=10), kernel_distance(*double, subsets=10)
    assert 1e-4 < exact.value < 1e-2
    assert found.value == pytest.approx(exact.value, rel=1e-6)
    assert found.subset_mean == pytest.approx(exact.subset_mean, rel=1e-6)
    assert found.standard_error == pytest.approx(exact.standard_error, rel=1e-5)


def test_kernel_distance_of_subsets_has_mean_deviation_and_error(monkeypatch):
    real, generated = draw(60, 3, 11), draw(50, 3, 12)
    seen = []
    plain = kernel._draw

    def listening(*arguments):
        seen.append(plain(*arguments))
        return seen[-1]

    monkeypatch.setattr(kernel, "_draw", listening)
    found = kernel_distance(real, generated, seed=3, subsets=8, subset_size=10)
    assert (found.subsets, found.subset_size) == (8, 10)
    values = []
    for chosen, others in zip(*seen[0], strict=True):
        assert len(chosen.unique()) == len(others.unique()) == 10
        values.append(by_loops(real.features[chosen], generated.features[others]))
    assert len(values) == 8
    assert found.subset_mean == pytest.approx(np.mean(values))
    assert found.subset_std == pytest.approx(np.std(values, ddof=1))
    # Subsets of 10 of the same 50 images differ less than sets of 10 from the world would: the delete-40 jackknife.
    assert found.standard_error == pytest.approx(np.std(values, ddof=1) * math.sqrt(10 / 40))
    assert kernel_distance(real, generated, seed=3, subsets=8, subset_size=10) == found
    assert kernel_distance(real, generated, seed=4, subsets=8, subset_size=10).subset_mean != found.subset_mean


def test_kernel_distance_is_unbiased_and_its_error_honest():
    values, errors = [], []
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        found = kernel_distance(
            *(FeatureSet(torch.randn(80, 2, generator=generator), "any") for _ in range(2)), subsets=20, subset_size=20
        )
        values.append(found.subset_mean)
        errors.append(found.standard_error)
    # Of equal distributions the mean is 0, and the reported error is of the size of the true spread.
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(60)
    assert 0.5 < np.mean(errors) / np.std(values) < 2.5


def test_the_error_is_honest_where_distributions_differ_and_subsets_take_half():
    values, errors = [], []
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        real, other = torch.randn(200, 2, generator=generator), torch.randn(200, 2, generator=generator) + 0.7
        found = kernel_distance(FeatureSet(real, "any"), FeatureSet(other, "any"), subsets=50, subset_size=1000)
        values.append(found.value)
        errors.append(found.standard_error)
    assert 0.75 < np.mean(errors) / np.std(values) < 1.35


def test_kernel_distance_takes_at_most_half_of_the_smaller_set():
    assert kernel_distance(draw(30, 2, 1), draw(21, 2, 2)).subset_size == 10
    with pytest.raises(DataError, match="at least 4 images"):
        kernel_distance(draw(30, 2, 1), draw(3, 2, 2))
    with pytest.raises(ValueError, match="not of one extractor"):
        kernel_distance(draw(30, 2, 1), draw(30, 3, 2))


def test_pairs_within_a_set_are_summed_once_for_all_it_is_compared_with(monkeypatch):
    calls = []
    plain = kernel._sums_within
    monkeypatch.setattr(kernel, "_sums_within", lambda *given: calls.append(given[0]) or plain(*given))
    real, first, second = draw(30, 3, 1), draw(30, 3, 2), draw(30, 3, 3, shift=1)
    found = [kernel_distance(real, one).value for one in (first, second, first)]
    assert len(calls) == 3
    expected = [by_loops(real.features, one.features) for one in (first, second, first)]
    assert found == pytest.approx(expected, rel=1e-10)
    # Other subsets, or the other role, are other sums.
    assert kernel_distance(real, first, seed=1) == kernel_distance(draw(30, 3, 1), draw(30, 3, 2), seed=1)
    assert kernel_distance(first, real) == kernel_distance(draw(30, 3, 2), draw(30, 3, 1))
