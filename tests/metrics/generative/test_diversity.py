import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform

from shoestring.metrics.generative import knn as search
from shoestring.metrics.generative.diversity import diversity, mean_distances

torch.set_num_threads(1)


@pytest.mark.parametrize("rows", [7, 2048])
def test_mean_distances_are_scipys(monkeypatch, rows):
    monkeypatch.setattr(search, "CHUNK_ROWS", rows)
    points = torch.randn(30, 5, generator=torch.Generator().manual_seed(0)) + 100
    expected = squareform(pdist(points.double().numpy())).sum(1) / 29
    assert np.allclose(mean_distances(points), expected, rtol=1e-10)


def test_two_points_and_identical_images():
    assert mean_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist() == [5.0, 5.0]
    same = torch.full((6, 3, 4, 4), 200, dtype=torch.uint8)
    assert mean_distances(same).tolist() == [0.0] * 6
    with pytest.raises(ValueError, match="two"):
        mean_distances(torch.zeros(1, 3))


def test_diversity_is_the_ratio_to_real_images():
    real = torch.randn(50, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    metrics = diversity(0.25 * real[:40], real).metrics
    assert metrics["pairwise_distance"].value == pytest.approx(pdist(0.25 * real[:40].numpy()).mean())
    assert metrics["pairwise_distance_real"].value == pytest.approx(pdist(real.numpy()).mean())
    quotient = metrics["pairwise_distance"].value / metrics["pairwise_distance_real"].value
    assert metrics["diversity"].value == pytest.approx(quotient)
    assert diversity(real[:1].expand(5, 8), real).metrics["diversity"].value == 0
    assert diversity(real, real[:1].expand(5, 8)).metrics["diversity"].value is None


@pytest.mark.parametrize("n", [3, 4, 12])
def test_the_error_is_that_of_the_jackknife_by_its_definition(n: int) -> None:
    points = torch.randn(n, 3, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    whole = pdist(points.numpy()).mean()
    left_out = [pdist(np.delete(points.numpy(), i, axis=0)).mean() for i in range(n)]
    pseudo = n * whole - (n - 1) * np.array(left_out)
    found = diversity(points, points).metrics["pairwise_distance"]
    assert found.value == pytest.approx(whole)
    assert found.std == pytest.approx(pseudo.std(ddof=1))
    with pytest.raises(ValueError, match="at least three"):
        diversity(points[:2], points)


def test_intervals_cover_the_known_mean_distance_of_normal_points():
    truth = 2 * math.gamma(2.5) / math.gamma(2)  # of two standard normal points in four dimensions
    covered = ratio_covered = 0
    for seed in range(150):
        generator = torch.Generator().manual_seed(seed)
        metrics = diversity(torch.randn(60, 4, generator=generator), torch.randn(80, 4, generator=generator)).metrics
        low, high = metrics["pairwise_distance"].interval
        covered += low <= truth <= high
        low, high = metrics["diversity"].interval
        ratio_covered += low <= 1 <= high
    assert 134 <= covered <= 149
    assert 134 <= ratio_covered <= 149
