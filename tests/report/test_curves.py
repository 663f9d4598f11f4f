import math

import numpy as np
import pytest

from shoestring.report import curves
from shoestring.report.curves import MOST_POINTS, Mark, chart, curve
from shoestring.report.svg import Key

KEY = Key("train", 1)


def record(step, value, std=0.0, count=50, kind="train"):
    means, stds = {"loss": value}, {"loss": std}
    return {"step": step, "kind": kind, "count": count, "mean": means, "std": stds, "learning_rate": 0.1}


def test_train_means_belong_to_the_middle_of_their_steps_and_looks_to_their_step():
    log = [record(50, 2.0), record(100, 1.0), {"step": 100, "kind": "tune", "n": 9, "mean": {"loss": 3.0}}]
    assert curve(log, "train", "loss", KEY).steps == [25, 75]
    assert curve(log, "tune", "loss", KEY).steps == [100]
    assert curve(log, "tune", "loss", KEY).values == [3.0]
    assert curve(log, "train", "learning_rate", KEY).steps == [50, 100]
    assert curve(log, "train", "accuracy", KEY) is None


def test_long_logs_are_pooled_exactly():
    batches = np.random.default_rng(0).normal(size=(2 * MOST_POINTS, 10))
    log = [record(10 * (i + 1), float(row.mean()), float(row.std()), 10) for i, row in enumerate(batches)]
    drawn = curve(log, "train", "loss", KEY)
    pairs = batches.reshape(MOST_POINTS, 20)
    assert drawn.values == pytest.approx(pairs.mean(1))
    assert drawn.stds == pytest.approx(pairs.std(1))
    assert drawn.steps[:2] == [10, 30]


def test_values_that_are_not_finite_are_left_out():
    assert curve([record(50, math.nan), record(100, 1.0)], "train", "loss", KEY).values == [1.0]


def test_chart_speaks_its_first_and_last_values_and_draws_all_of_them():
    drawn = curve([record(50, 0.25), record(100, 0.5)], "train", "loss", KEY)
    mark = Mark(Key("test", 3, "diamond"), 100, 0.45, (0.4, 0.5))
    picture = chart("a", "Accuracy", "accuracy (%)", [drawn, None], [mark], in_percent=True)
    assert "train goes from 25.0 % to 50.0 % at step 75; test is 45.0 %." in picture.content
    assert [key.text for key in picture.legend] == ["train", "test"]
    assert ">accuracy (%)</text>" in picture.content


@pytest.mark.parametrize("kind", ["in_percent", "fraction"])
def test_axes_of_shares_end_at_0_and_1(kind, monkeypatch):
    limits = []
    monkeypatch.setattr(curves, "svg", lambda figure, *_: limits.append(figure.axes[0].get_ylim()) or "")
    sure = [record(50, 0.02), record(100, 0.999)]
    for one in sure:
        one["std"] = {"loss": 0.2}
    drawn = curve(sure, "train", "loss", KEY, band=True)
    chart("a", "Accuracy", "accuracy (%)", [drawn], **{kind: True})
    chart("a", "Loss", "loss (nats)", [drawn])
    assert limits[0] == (0, 1)
    assert limits[1][0] < 0 < 1 < limits[1][1]


def test_single_curves_need_no_legend_and_nothing_needs_no_chart():
    drawn = curve([record(50, 0.25), record(100, 0.5)], "train", "loss", KEY)
    assert chart("a", "Loss", "nats", [drawn]).legend == []
    assert chart("a", "Loss", "nats", [drawn], always_keyed=True).legend == [KEY]
    assert chart("a", "Loss", "nats", [None]) is None


def test_colours_follow_the_page_and_ids_carry_the_name():
    drawn = curve([record(50, 0.25), record(100, 0.5)], "train", "loss", KEY)
    content = str(chart("first", "Loss", "nats", [drawn]).content)
    assert "stroke: var(--series-1)" in content
    assert "fill: var(--muted)" in content
    assert "#0072b2" not in content
    assert 'id="figure' not in content
    assert "url(#first-" in content
