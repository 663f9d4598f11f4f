import pytest
import torch

from shoestring.core.errors import DataError
from shoestring.metrics.features.extractor import FeatureSet
from shoestring.metrics.generative import knn as search
from shoestring.metrics.generative import prdc as fidelity_module
from shoestring.metrics.generative.prdc import prdc, squared_radii

torch.set_num_threads(1)


def draw(n, dimensions, seed, shift=0.0):
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed)) + shift


def measured(real, generated, extractor="any"):
    return prdc(FeatureSet(real, extractor), FeatureSet(generated, extractor))


def values(real, generated):
    return {name: metric.value for name, metric in measured(real, generated).items()}


def radius(point, others, k):
    return sorted(float((point.double() - other.double()).norm()) for other in others)[k]  # the 0th is itself


def by_loops(real, generated):
    def inside(point, centre, centres, k):
        return float((point.double() - centre.double()).norm()) <= radius(centre, centres, k)

    precision = sum(any(inside(g, r, real, 3) for r in real) for g in generated) / len(generated)
    recall = sum(any(inside(r, g, generated, 3) for g in generated) for r in real) / len(real)
    density = sum(inside(g, r, real, 5) for g in generated for r in real) / (5 * len(generated))
    coverage = sum(any(inside(g, r, real, 5) for g in generated) for r in real) / len(real)
    return {"precision": precision, "recall": recall, "density": density, "coverage": coverage}


@pytest.mark.parametrize("rows", [4, 2048])
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_all_four_are_those_of_explicit_loops(monkeypatch, rows, shift):
    monkeypatch.setattr(search, "CHUNK_ROWS", rows)
    monkeypatch.setattr(fidelity_module, "_PAIRS", rows * 25)
    real, generated = draw(25, 3, 1), draw(18, 3, 2, shift)
    expected = by_loops(real, generated)
    assert values(real, generated) == pytest.approx(expected, rel=1e-12)
    assert 0 < expected["precision"] < 1


def test_copies_are_perfect_and_strangers_are_nothing():
    real = draw(40, 5, 3)
    copies = values(real, real.clone())
    # A copy lies in its own ball and, as k are in a ball, in that of k others on average.
    assert copies == pytest.approx({"precision": 1, "recall": 1, "density": 6 / 5, "coverage": 1})
    assert values(real, real + 1000) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_borders_are_those_of_float64_where_float32_cannot_tell():
    # Far from the origin, and each generated image nearly on the border of a ball: half within, half without.
    real = draw(200, 6, 10).double()
    real[0] += 1000  # what is far away makes float32 err more
    radii = squared_radii(real).sqrt()
    directions = torch.nn.functional.normalize(draw(200, 6, 11).double(), dim=1)
    signs = torch.where(torch.arange(200) % 2 == 0, 1.0, -1.0).double()
    for k in (3, 5):
        near = real + directions * (radii[:, k - 1] * (1 + 1e-9 * signs))[:, None]
        assert values(real, near) == pytest.approx(by_matrix(real, near), rel=1e-12)
        assert values(near, real) == pytest.approx(by_matrix(near, real), rel=1e-12)


def by_matrix(real, generated):
    def limits(points, k):
        return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").sort(1).values[:, k]

    apart = torch.cdist(generated, real, compute_mode="donot_use_mm_for_euclid_dist")
    wide = apart <= limits(real, 5)
    return {
        "precision": float((apart <= limits(real, 3)).any(1).double().mean()),
        "recall": float((apart <= limits(generated, 3)[:, None]).any(0).double().mean()),
        "density": float(wide.sum()) / (5 * len(generated)),
        "coverage": float(wide.any(0).double().mean()),
    }


def test_a_generator_of_one_mode_is_precise_but_recalls_half():
    modes = torch.cat([draw(50, 2, 4), draw(50, 2, 5, shift=100)])
    found = values(modes, draw(100, 2, 6))
    assert found["precision"] > 0.8
    assert 0.3 < found["recall"] <= 0.5
    assert 0.3 < found["coverage"] <= 0.5


def test_one_point_repeated_is_dense_and_covers_little():
    real = draw(50, 2, 7)
    found = values(real, real[:1].expand(30, 2))
    assert found["precision"] == 1
    assert found["density"] >= 1 / 5
    assert found["recall"] <= 1 / 50
    assert found["coverage"] < 0.3


def test_measures_say_k_extractor_counts_and_intervals():
    found = measured(draw(30, 3, 8), draw(20, 3, 9), "net 3 none 0123")
    assert {name: metric.n for name, metric in found.items()} == {
        "precision": 20,
        "recall": 30,
        "density": 20,
        "coverage": 30,
    }
    for name, k in (("precision", 3), ("recall", 3), ("density", 5), ("coverage", 5)):
        assert found[name].note == f"k = {k}; features: net 3 none 0123."
        low, high = found[name].interval
        assert low <= found[name].value <= high
        assert "metrics.generative.prdc" in found[name].computed_by


@pytest.mark.parametrize("rows", [3, 2048])
def test_radii_leave_the_point_itself_out_but_not_its_copies(monkeypatch, rows):
    monkeypatch.setattr(search, "CHUNK_ROWS", rows)
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0], [7.0], [15.0]])
    expected = [[1, 9, 49], [1, 4, 36], [4, 9, 16], [0, 16, 36], [0, 16, 36], [64, 64, 144]]
    assert squared_radii(line, 3).tolist() == expected


def test_too_few_images_or_other_features_are_refused():
    with pytest.raises(DataError, match="at least 6 images of each kind, got 5 and 20"):
        measured(draw(5, 3, 1), draw(20, 3, 1))
    with pytest.raises(ValueError, match="not of one extractor"):
        measured(draw(9, 3, 1), draw(9, 4, 1))
