import json
from importlib.metadata import version

import pytest
import torch
from scipy import stats

from shoestring.metrics import statistics as metric
from shoestring.metrics.statistics import (
    Metric,
    computed_by,
    fraction,
    mean,
    mean_interval,
    paired_difference,
    ratio,
    source_hash,
    student_quantile,
    wilson_interval,
)

torch.set_num_threads(1)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 30), (4942, 10_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_interval_is_scipys(successes, n, confidence):
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_the_impossible(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, n)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 50, 155, 199, 200, 201, 999, 9_999])
@pytest.mark.parametrize("probability", [0.95, 0.975, 0.995])
def test_student_quantile_is_scipys(degrees, probability):
    assert student_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-8)


@pytest.mark.parametrize("n", [2, 5, 400])
def test_mean_interval_is_scipys(n):
    values = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) + 3
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values.numpy()))
    assert mean_interval(values) == pytest.approx(expected, rel=1e-9)


def test_an_interval_stays_within_the_range_of_its_values():
    sure, unsure = torch.tensor([0.6, 0.601, 0.599]), torch.tensor([1.0, 1.0, 0.5])
    for scale in ("log", "logit"):
        assert mean_interval(sure, scale=scale) == pytest.approx(mean_interval(sure), abs=1e-5)
    low, high = mean_interval(unsure, scale="logit")
    assert mean_interval(unsure)[1] > 1 > high > float(unsure.mean()) > low > 0
    assert mean_interval(unsure - 0.5)[0] < 0 < mean_interval(unsure - 0.5, scale="log")[0]
    assert mean_interval(torch.ones(3), scale="logit") == (1.0, 1.0)
    assert mean_interval(torch.zeros(3), scale="log") == (0.0, 0.0)
    assert mean_interval(torch.tensor([1e-9, 1e-3]), scale="log")[1] < float("inf")


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.97])
def test_the_interval_of_shares_covers_the_true_one(probability):
    covered, generator = 0, torch.Generator().manual_seed(7)
    for _ in range(400):
        accuracies = (torch.rand(12, 64, generator=generator) < probability).double().mean(1)
        low, high = mean_interval(accuracies, scale="logit")
        covered += low <= probability <= high
    assert 0.91 <= covered / 400 <= 0.99


def test_one_value_has_no_interval():
    assert mean_interval(torch.tensor([2.0])) is None
    assert mean(torch.tensor([2.0]), "code") == Metric(2.0, 1, None, None, "code")


def test_mean_and_share_give_value_count_and_sample_deviation():
    assert mean(torch.tensor([1, 2, 3, 6]), "code").std == pytest.approx((14 / 3) ** 0.5)
    assert fraction(3, 4, "code") == Metric(0.75, 4, wilson_interval(3, 4), None, "code")


def test_json_holds_every_attribute_and_survives_the_round_trip():
    written = json.loads(json.dumps(Metric(0.5, 4, (0.25, 0.75), 0.5, "code", "note", "caution").to_json()))
    assert written == {
        "value": 0.5,
        "n": 4,
        "interval": [0.25, 0.75],
        "std": 0.5,
        "computed_by": "code",
        "note": "note",
        "caution": "caution",
    }
    assert Metric(0.5, 4).to_json()["interval"] is None


def test_the_hash_changes_with_the_source(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    for name, source in {"made_0": "a = 1\n", "made_1": "a = 2\n", "made_2": "a = 1\n"}.items():
        (tmp_path / f"{name}.py").write_text(source)
    first, second, third = (source_hash(name) for name in ("made_0", "made_1", "made_2"))
    assert first == third != second
    assert source_hash("made_0", "made_1") not in (first, second)


def test_computed_by_names_version_and_module_and_hashes_all_that_measures(monkeypatch):
    hashed = []
    monkeypatch.setattr(metric, "source_hash", lambda *modules: hashed.extend(modules) or "0123456789abcdefXYZ")
    computed_by.cache_clear()
    expected = f"shoestring {version('shoestring')} metrics.statistics sha256:0123456789abcdef"
    assert computed_by(metric.__name__) == expected
    assert {
        "shoestring.metrics.generative.fid",
        "shoestring.metrics.features.inception_net",
        "shoestring.metrics.generative.knn",
    } <= set(hashed)
    computed_by.cache_clear()


def test_ratio_and_its_interval_cover_a_known_one():
    covered = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        top = 6 + torch.randn(50, generator=generator, dtype=torch.float64)
        bottom = 2 + 0.5 * torch.randn(80, generator=generator, dtype=torch.float64)
        measured = ratio(top, bottom, "code")
        assert measured.value == pytest.approx(float(top.mean() / bottom.mean()))
        covered += measured.interval[0] <= 3 <= measured.interval[1]
    assert 180 <= covered <= 198
    assert measured.n == 50


def test_ratio_without_a_denominator_or_spread():
    ones = torch.ones(3)
    assert ratio(ones, torch.zeros(3), "code").value is None
    assert ratio(0 * ones, ones, "code") == Metric(0.0, 3, None, None, "code")
    assert ratio(ones[:1], ones, "code") == Metric(1.0, 1, None, None, "code")
    assert ratio(2 * ones, ones, "code").interval == (2.0, 2.0)


@pytest.mark.parametrize(("gained", "lost", "n"), [(10, 20, 100), (0, 0, 50), (0, 7, 7), (3, 3, 1000)])
def test_paired_difference_counts_half_a_thing_more_in_each_cell(gained, lost, n):
    before = torch.zeros(n, dtype=torch.bool)
    after = before.clone()
    after[:gained] = True
    before[gained : gained + lost] = True
    found = paired_difference(before, after, "me")
    assert (found.value, found.n) == ((gained - lost) / n, n)
    up, down = (gained + 0.5) / (n + 2), (lost + 0.5) / (n + 2)
    std = ((up + down - (up - down) ** 2) / (n + 2)) ** 0.5
    quantile = stats.norm.ppf(0.975)
    expected = (up - down - quantile * std, up - down + quantile * std)
    assert found.interval == pytest.approx(expected, abs=1e-12)
    assert found.interval[0] < found.interval[1]
