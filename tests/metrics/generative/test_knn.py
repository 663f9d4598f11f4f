import pytest
import torch

from shoestring.metrics.generative import knn as search
from shoestring.metrics.generative.knn import knn

torch.set_num_threads(1)


def draw(n, dimensions, seed, scale=1.0):
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed)) * scale


def by_sorting(queries, references, count, same=False):
    apart = (queries.double()[:, None] - references.double()).square().sum(2)
    if same:
        apart.fill_diagonal_(float("inf"))
    squares, order = apart.sort(dim=1, stable=True)
    return order[:, :count], squares[:, :count]


def counting_searches(monkeypatch):
    seen = []
    plain = search._search

    def listening(queries, references, count, own, dtype):
        seen.append((len(queries), dtype))
        return plain(queries, references, count, own, dtype)

    monkeypatch.setattr(search, "_search", listening)
    return seen


@pytest.mark.parametrize("rows", [7, 2048])
@pytest.mark.parametrize("same", [False, True])
def test_nearest_few_are_those_of_sorting(monkeypatch, rows, same):
    monkeypatch.setattr(search, "CHUNK_ROWS", rows)
    seen = counting_searches(monkeypatch)
    references = draw(60, 9, 1)
    queries = references if same else draw(30, 9, 2)
    indices, squares = knn(queries, references, 5, same=same)
    expected = by_sorting(queries, references, 5, same)
    assert torch.equal(indices, expected[0])
    assert torch.allclose(squares, expected[1], rtol=1e-13)
    assert seen == [(len(queries), torch.float32)]  # nothing had to be searched twice


@pytest.mark.parametrize("rows", [11, 2048])
@pytest.mark.parametrize("same", [False, True])
def test_points_too_near_for_float32_are_searched_again(monkeypatch, rows, same):
    monkeypatch.setattr(search, "CHUNK_ROWS", rows)
    seen = counting_searches(monkeypatch)
    # A tight cluster and wide surroundings: within the cluster float32 products see noise alone.
    cluster = (draw(40, 8, 3).double() * 1e-6) + 3
    points = torch.cat([cluster, draw(40, 8, 4).double() * 5])[torch.randperm(80, generator=torch.Generator())]
    queries = points if same else (draw(20, 8, 5).double() * 1e-6) + 3
    indices, squares = knn(queries, points, 4, same=same)
    expected = by_sorting(queries, points, 4, same)
    assert torch.allclose(squares, expected[1], rtol=1e-6)
    assert (indices == expected[0]).double().mean() > 0.95
    assert [kind for _, kind in seen] == [torch.float32, torch.float64]
    assert seen[1][0] == 20 or (same and 40 <= seen[1][0] < 80)


def test_no_more_than_there_are():
    points = draw(4, 3, 6)
    indices, _ = knn(points, points, 3, same=True)
    assert [sorted(row) for row in indices.tolist()] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert knn(points[:0], points, 2)[0].shape == (0, 2)


def test_a_copy_is_at_distance_zero_and_of_equal_ones_the_first_is_found():
    images = torch.randint(256, (50, 192), generator=torch.Generator().manual_seed(7), dtype=torch.uint8)
    images[31] = images[12]
    indices, squares = knn(images[31:32], images, 2)
    assert indices.tolist() == [[12, 31]]
    assert squares.tolist() == [[0.0, 0.0]]
