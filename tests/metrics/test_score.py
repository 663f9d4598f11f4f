import pytest
import torch

from shoestring.metrics.score import GenerativeMetric, as_generative_metrics, over_seeds, with_real_baseline
from shoestring.metrics.statistics import Metric


def test_excess_is_the_value_less_the_floor_and_lists_stay_as_they_are():
    found = as_generative_metrics(
        {"fid": Metric(7.0, 100), "histogram": Metric([1, 2], 100)}, "_768_clean", "net 768 clean 00", 90
    )
    real_baseline = as_generative_metrics({"fid": Metric(2.5, 100), "histogram": Metric([3], 100)}, "_768_clean")
    judged = with_real_baseline(found, real_baseline)
    fid = judged["fid_768_clean"]
    assert (fid.value, fid.real_baseline, fid.gap_to_real, fid.n_real, fid.features) == (
        7.0,
        2.5,
        4.5,
        90,
        "net 768 clean 00",
    )
    assert judged["histogram_768_clean"].real_baseline is None
    assert with_real_baseline(found, {})["fid_768_clean"].gap_to_real is None


def test_several_samplings_give_their_mean_and_deviation_but_no_narrower_interval():
    values = [4.0, 5.0, 9.0]
    samplings = [
        {"fid": GenerativeMetric(v, 100, interval=(v - 2, v + 1)), "rows": GenerativeMetric([v], 100)} for v in values
    ]
    samplings[0]["copies"] = GenerativeMetric(0.5, 10)
    found = over_seeds(samplings)
    assert found["fid"].value == 6.0
    assert found["fid"].std == pytest.approx(float(torch.tensor(values, dtype=torch.float64).std()), rel=1e-12)
    assert found["fid"].interval == (4.0, 7.0)
    assert found["fid"].to_json()["by_seed"] == values
    assert found["rows"].value == [4.0]
    assert found["copies"].value == 0.5
    assert found["copies"].by_seed is None


def test_one_sampling_keeps_its_own_deviation():
    found = over_seeds([{"density": GenerativeMetric(0.9, 100, std=0.3)}])["density"]
    assert (found.value, found.std, found.by_seed) == (0.9, 0.3, (0.9,))
