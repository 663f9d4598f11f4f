import numpy as np
import pytest
from scipy import stats

from shoestring.measure.lines import training_line


def logged(values, counts):
    records, step = [], 0
    for count in counts:
        part = values[step : step + count]
        step += count
        deviation = part.std(ddof=1) if count > 1 else 0.0  # as the journal writes it
        records.append(
            {
                "step": step,
                "kind": "train",
                "count": count,
                "mean": {"loss": part.mean(), "accuracy": (part / 9).mean()},
                "deviation": {"loss": deviation, "accuracy": deviation / 9},
            }
        )
    return records


def test_records_pool_to_the_moments_of_the_single_steps():
    values = np.random.default_rng(0).normal(5, 2, 2_500)
    line = training_line(logged(values, [700, 800, 1, 499, 50, 450]))
    last = values[-1_000:]
    assert list(line) == ["loss", "accuracy"]
    assert (line["loss"].value, line["loss"].deviation) == pytest.approx((last.mean(), last.std(ddof=1)), rel=1e-12)
    assert line["accuracy"].value == pytest.approx(last.mean() / 9)
    assert line["loss"].n == 1_000
    assert line["loss"].interval == pytest.approx(stats.t.interval(0.95, 999, last.mean(), stats.sem(last)))
    assert "1,501 to 2,500" in line["loss"].note


def test_a_record_that_reaches_further_back_is_taken_whole():
    values = np.random.default_rng(1).normal(0, 1, 90)
    line = training_line(logged(values, [30, 30, 30]), last_steps=45)
    assert line["loss"].n == 60
    assert line["loss"].value == pytest.approx(values[30:].mean())


def test_short_and_empty_logs():
    values = np.array([1.0, 3.0])
    assert training_line(logged(values, [2]))["loss"].deviation == pytest.approx(2**0.5)
    assert training_line(logged(values, [1, 1]))["loss"].deviation == pytest.approx(2**0.5)
    assert training_line([]) == {}
    single = training_line(logged(values[:1], [1]))["loss"]
    assert (single.value, single.n, single.deviation, single.interval) == (1.0, 1, None, None)
