import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from shoestring.metrics.generative import knn as search
from shoestring.metrics.generative.memorization import memorisation, nearest

torch.set_num_threads(1)


def images(n, seed, size=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, size, size), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("rows", [7, 2048])
def test_nearest_is_scipys_for_pixels_and_features(monkeypatch, rows):
    monkeypatch.setattr(search, "CHUNK_ROWS", rows)
    features = torch.randn(40, 9, generator=torch.Generator().manual_seed(0))
    for queries, references in ((images(20, 0), images(50, 1)), (features[:15], features[15:])):
        found = nearest(queries, references)
        distances = cdist(queries.flatten(1).double(), references.flatten(1).double())
        assert found.indices.tolist() == distances.argmin(1).tolist()
        assert np.allclose(found.distances, distances.min(1), rtol=1e-12)


def test_a_pixel_that_differs_by_one_is_told_from_a_copy():
    train = images(30, 2, size=32)
    near = train[4:5].clone()
    near[0, 0, 0, 0] = near[0, 0, 0, 0].int().sub(1).abs().to(torch.uint8)
    found = nearest(torch.cat([train[9:10], near]), train)
    assert found.indices.tolist() == [9, 4]
    assert found.distances.tolist() == [0.0, 1.0]


def test_copies_of_features_are_at_distance_zero_far_from_the_origin():
    train = torch.randn(50, 64, generator=torch.Generator().manual_seed(3)) + 1e4
    assert nearest(train[:5], train).distances.tolist() == [0.0] * 5


def test_the_first_of_equal_references_is_found_across_chunks(monkeypatch):
    monkeypatch.setattr(search, "CHUNK_ROWS", 4)
    train = images(20, 4)
    train[17] = train[6]
    assert nearest(train[17:18], train).indices.tolist() == [6]


def test_mismatched_sizes_and_no_references_are_refused():
    with pytest.raises(ValueError, match="match"):
        nearest(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="match"):
        nearest(torch.zeros(2, 3), torch.zeros(0, 3))


def test_copied_training_images_are_counted_as_memorised():
    train, held_out = images(80, 5), images(100, 6)
    found = memorisation(torch.cat([images(90, 7), train[:10]]), held_out, train)
    assert found.generated.distances[90:].tolist() == [0.0] * 10
    assert found.generated.indices[90:].tolist() == list(range(10))
    usual = np.sort(found.held_out.distances.numpy())
    assert found.threshold == usual[0]  # the 1% quantile of 100
    expected = (found.generated.distances <= usual[0]).double().mean()
    assert found.metrics["memorised"].value == expected >= 0.1
    assert found.metrics["memorised_held_out"].value == 0.01
    area = mannwhitneyu(held_out_d := found.held_out.distances.numpy(), found.generated.distances.numpy()).statistic
    measured = found.metrics["nearer_than_held_out"]
    assert measured.value == pytest.approx(area / (len(held_out_d) * 100))
    assert measured.interval[0] < measured.value < measured.interval[1]


def test_samples_of_the_data_itself_are_not_nearer_than_held_out_ones():
    generator = torch.Generator().manual_seed(8)
    train, held_out, generated = (torch.randn(400, 4, generator=generator) for _ in range(3))
    metrics = memorisation(generated, held_out, train).metrics
    low, high = metrics["nearer_than_held_out"].interval
    assert low < 0.5 < high
    # DeLong's interval of two independent samples of 400: 1.96 sqrt(2 / (12 400)) each way, when alike.
    assert high - low == pytest.approx(2 * 1.96 * (2 / (12 * 400)) ** 0.5, rel=0.1)


def test_all_copies_have_probability_one_and_held_out_copies_one_half():
    train, held_out = images(30, 9), images(30, 10)
    assert memorisation(train, held_out, train).metrics["nearer_than_held_out"].value == 1.0
    assert memorisation(held_out, held_out, train).metrics["nearer_than_held_out"].value == 0.5
    duplicated = memorisation(train[:5], torch.cat([train[:2], held_out]), train)
    assert duplicated.threshold == 0.0
    assert duplicated.metrics["memorised"].value == 1.0
    assert duplicated.metrics["memorised_held_out"].value == 2 / 32
