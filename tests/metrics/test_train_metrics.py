"""The papers' line as a pair: the training's logger writes the log, the line is made of it."""

import json

import numpy as np
import pytest
import torch
from scipy import stats

from shoestring.metrics.classification import train_metrics_summary
from shoestring.training.metric_logger import MetricLogger


def logged(values, cadence):
    """The records that the logger writes of one loss (and a ninth of it) per step, through JSON as in a run's log."""
    logger, records = MetricLogger(0, batch_size=8), []
    for step, value in enumerate(values, start=1):
        logger.note({"loss": torch.tensor(value), "accuracy": torch.tensor(value / 9)})
        if step % cadence == 0 or step == len(values):
            records.append(json.loads(json.dumps(logger.record(learning_rate=0.1))))
    return records


def normal(count):
    return np.random.default_rng(count).normal(5, 2, count)


@pytest.mark.parametrize(
    ("steps", "cadence", "covered"),
    [
        (10_000, 1, 1_000),
        (10_000, 2, 1_000),
        (12_000, 50, 1_000),
        (10_000, 100, 1_000),
        (10_025, 50, 1_025),  # the last record is of 25 steps, and records are taken whole
        (600, 10, 60),  # a shorter training: its last tenth
        (600, 1, 60),
        (615, 50, 65),
        (90, 60, 30),
        (5, 50, 5),  # one record at least
        (2, 1, 1),
    ],
)
def test_the_line_has_the_moments_of_the_last_mini_batches(steps, cadence, covered):
    values = normal(steps)
    line = train_metrics_summary(logged(values, cadence))
    last = values[-covered:]
    assert list(line) == ["loss", "accuracy"]
    for name, expected in (("loss", last), ("accuracy", last / 9)):
        found = line[name]
        assert found.n == covered
        assert found.value == pytest.approx(expected.mean(), rel=1e-6)
        assert f"steps {steps - covered + 1:,} to {steps:,}," in found.note
        if covered > 1:
            assert found.std == pytest.approx(expected.std(ddof=1), rel=1e-6)
    if covered > 1:
        interval = stats.t.interval(0.95, covered - 1, np.log(last.mean()), stats.sem(last) / last.mean())
        assert line["loss"].interval == pytest.approx(np.exp(interval), rel=1e-6)
    else:
        assert (line["loss"].std, line["loss"].interval) == (None, None)


def test_intervals_stay_within_what_losses_and_accuracies_can_be():
    values = np.array([9.0, 9.0, 9.0, 1.0])  # and so accuracies of 1, 1, 1 and 1/9
    line = train_metrics_summary(logged(values, 4))
    assert 0 < line["loss"].interval[0] < line["loss"].value
    assert 0 < line["accuracy"].interval[0] < line["accuracy"].value < line["accuracy"].interval[1] < 1


def test_small_values_keep_their_digits_in_the_log():
    values = 1e-6 * normal(40)
    found = train_metrics_summary(logged(values, 4))["loss"]
    assert found.std == pytest.approx(values[-4:].std(ddof=1), rel=1e-6)


def test_an_empty_log_has_no_line():
    assert train_metrics_summary([]) == {}
