import numpy as np
import pytest
import torch
from scipy import linalg, stats

from shoestring.core import rng
from shoestring.core.errors import DataError
from shoestring.metrics.features.extractor import FeatureSet, Moments, moments
from shoestring.metrics.generative.fid import extrapolated_frechet_distance, frechet_distance

torch.set_num_threads(1)


def draw(n, dimensions, seed, scale=1.0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64)
    return torch.randn(n, dimensions, generator=generator, dtype=torch.float64) @ mixing * scale + shift


def gaussian(mean, covariance):
    mean, covariance = torch.tensor(mean, dtype=torch.float64), torch.tensor(covariance, dtype=torch.float64)
    return Moments(1000, mean, covariance, "any")


def by_square_root(a, b):
    product = a.covariance.numpy() @ b.covariance.numpy()
    # A little on the diagonal, as singular products have no unique square root.
    root = linalg.sqrtm(product + 1e-12 * np.eye(len(product)) * np.trace(product))
    spread = np.trace(a.covariance.numpy() + b.covariance.numpy() - 2 * root.real)
    return float(((a.mean - b.mean) ** 2).sum()) + float(spread)


@pytest.mark.parametrize("dimensions", [1, 2, 10, 60])
def test_frechet_distance_is_that_of_scipys_square_root(dimensions):
    a, b = (moments(draw(200, dimensions, seed, shift=seed), "any") for seed in (1, 2))
    assert frechet_distance(a, b) == pytest.approx(by_square_root(a, b), rel=1e-5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)


@pytest.mark.parametrize("counts", [(12, 15), (12, 300), (300, 12)])
def test_frechet_distance_holds_for_singular_covariances(counts):
    a, b = (moments(draw(n, 40, seed), "any") for n, seed in zip(counts, (3, 4), strict=True))
    assert min(np.linalg.matrix_rank(a.covariance.numpy()), np.linalg.matrix_rank(b.covariance.numpy())) == 11
    assert frechet_distance(a, b) == pytest.approx(by_square_root(a, b), rel=1e-4)


def test_frechet_distance_has_its_closed_forms():
    one = gaussian([1.0], [[4.0]]), gaussian([-2.0], [[9.0]])
    assert frechet_distance(*one) == pytest.approx(9 + (2 - 3) ** 2, rel=1e-12)
    diagonal = gaussian([0.0, 1.0, 2.0], np.diag([1.0, 4.0, 0.0])), gaussian([1.0, 1.0, 0.0], np.diag([9.0, 0.0, 0.0]))
    assert frechet_distance(*diagonal) == pytest.approx(5 + 4 + 4, rel=1e-12)
    # Rotated together, they commute still: the distance stays.
    rotation = stats.ortho_group.rvs(3, random_state=0)
    turned = [gaussian(rotation @ m.mean.numpy(), rotation @ m.covariance.numpy() @ rotation.T) for m in diagonal]
    assert frechet_distance(*turned) == pytest.approx(13, rel=1e-7)
    points = gaussian([3.0, 4.0], np.zeros((2, 2))), gaussian([0.0, 0.0], np.zeros((2, 2)))
    assert frechet_distance(*points) == 25


@pytest.mark.parametrize("n", [10, 500])
def test_equal_moments_are_at_distance_zero(n):
    a = moments(draw(n, 50, 5, shift=7), "any")
    assert 0 <= frechet_distance(a, a) < 1e-7 * float(a.covariance.trace())


def test_moments_of_other_extractors_do_not_compare():
    a = moments(draw(9, 2, 6), "one")
    with pytest.raises(ValueError, match="'one' and of 'two'"):
        frechet_distance(a, moments(draw(9, 2, 6), "two"))


def test_extrapolation_is_the_line_through_the_subsets():
    real = moments(draw(400, 5, 7), "any")
    generated = FeatureSet(draw(300, 5, 7, shift=0.5), "any")
    found = extrapolated_frechet_distance(real, generated, seed=1, points=6, smallest=100)
    assert found.counts == (100, 140, 180, 220, 260, 300)
    line = stats.linregress(1 / np.array(found.counts), found.distances)
    assert found.value == pytest.approx(line.intercept, rel=1e-9)
    assert found.standard_error == pytest.approx(line.intercept_stderr, rel=1e-9)
    # The largest subset is the whole set.
    assert found.distances[-1] == pytest.approx(frechet_distance(real, generated.moments), rel=1e-9)
    assert extrapolated_frechet_distance(real, generated, seed=1, points=6, smallest=100) == found
    assert extrapolated_frechet_distance(real, generated, seed=2, points=6, smallest=100) != found


def test_extrapolation_takes_the_distance_of_random_subsets_themselves():
    real = moments(draw(400, 5, 7), "any")
    generated = draw(300, 5, 8, shift=1000)  # far from the origin, where sums lose digits
    found = extrapolated_frechet_distance(real, FeatureSet(generated, "any"), seed=1, points=6, smallest=100)
    for size, value in zip(found.counts, found.distances, strict=True):
        order = torch.randperm(300, generator=rng.generator(1, "subset of the Fréchet distance", size))
        assert value == pytest.approx(frechet_distance(real, moments(generated[order[:size]], "any")), rel=1e-10)


def test_extrapolation_takes_the_bias_of_few_images_away():
    dimensions = 40
    real = gaussian(np.zeros(dimensions), np.eye(dimensions))
    generated = torch.randn(4000, dimensions, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    found = extrapolated_frechet_distance(real, FeatureSet(generated, "any"), smallest=400)
    # Of n standard normal images: d/n from the mean and to first order d (d + 1) / 4n from the covariance.
    bias = dimensions / 4000 + dimensions * (dimensions + 1) / (4 * 4000)
    assert found.distances[-1] == pytest.approx(bias, rel=0.1)
    assert abs(found.value) < bias / 5
    assert found.distances[0] > 8 * found.distances[-1]


def test_extrapolation_starts_at_half_the_images_or_at_5000():
    real = gaussian([0.0], [[1.0]])
    for count, first in ((1001, 500), (12_000, 5000)):
        generated = FeatureSet(torch.randn(count, 1), "any")
        assert extrapolated_frechet_distance(real, generated, points=3).counts[0] == first
    with pytest.raises(DataError, match="make more"):
        extrapolated_frechet_distance(real, FeatureSet(torch.randn(20, 1), "any"))
