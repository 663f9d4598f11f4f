import numpy as np
import pytest
from fake_runs import ANIMALS, classifier, confusion

from shoestring.report.classes import class_rows, confusion_map, confusions, matrix, reliability, worst_and_best
from shoestring.report.run_data import read


@pytest.fixture
def run_data(tmp_path):
    return read([classifier(tmp_path / "run")])[0]


def test_each_class_has_its_share_interval_and_commonest_mistake(run_data):
    rows = class_rows(run_data, "test")
    assert [row.accuracy for row in rows] == sorted(row.accuracy for row in rows)
    worst = rows[0]
    assert (worst.name, worst.accuracy, worst.n) == ("ant", 0.10, 100)
    name, count = worst.mistaken_for
    assert (name, count) == ("bee", confusion(20)[0, 1])
    assert worst.interval == pytest.approx((0.0552, 0.1744), abs=1e-4)  # the published Wilson interval of 10 in 100


def test_worst_and_best_share_no_class(run_data):
    rows = class_rows(run_data, "test")
    worst, best = worst_and_best(rows[:15])
    assert [row.name for row in worst] == [row.name for row in rows[:7]]
    assert [row.name for row in best] == [row.name for row in reversed(rows[8:15])]
    assert worst_and_best(rows[:10]) == (rows[:10], [])  # few enough to show all


def test_confusions_are_off_diagonal_and_sorted(run_data):
    found, counts = confusions(run_data, "test"), confusion(20)
    assert (found[0].true, found[0].answered, found[0].count) == ("ant", "bee", counts[0, 1])
    assert found[0].rate == counts[0, 1] / 100
    off_diagonal = np.sort(counts[~np.eye(20, dtype=bool)])[::-1]
    assert [one.count for one in found] == off_diagonal[:10].tolist()
    assert all(one.true != one.answered for one in found)


def test_per_class_accuracy_alone_keeps_its_recorded_intervals(run_data, tmp_path):
    run = run_data.run
    measured = [{"class": 0, "value": 0.25, "n": 4, "interval": [0.05, 0.7]}, {"class": 1, "value": None, "n": 0}]
    run.write_json("metrics.json", {"tune": {"per_class_accuracy": {"value": measured, "n": 4}}})
    (row,) = class_rows(read([run])[0], "tune")
    assert (row.name, row.accuracy, row.n, row.interval) == ("class 0", 0.25, 4, [0.05, 0.7])


def test_confusion_map_of_few_classes_has_names_and_percents(run_data):
    picture = confusion_map(run_data, "test", "m")
    assert all(f">{name}<" in picture.content for name in ANIMALS)
    assert picture.content.count(">49<") == 1  # "toad", right 49 of 100 times
    assert "n = 2,000 test images" in picture.caption
    fraction = 100 * np.trace(confusion(20)) / confusion(20).sum()
    assert f"{fraction:.1f} % on the diagonal; most frequent mistake: ant taken for bee" in picture.content


def test_confusion_map_of_a_hundred_classes_has_names_but_no_percents(tmp_path):
    run_data = read([classifier(tmp_path / "run", classes=100)])[0]
    picture = confusion_map(run_data, "test", "m")
    assert all(picture.content.count(f">species {k}<") == 2 for k in range(100))
    assert ">89<" not in picture.content
    assert matrix(run_data, "test").shape == (100, 100)


def test_reliability_says_every_filled_bin(run_data):
    picture = reliability(run_data, "test", "r")
    assert "95 % confident, 90 % right" in picture.content
    assert "5 % confident, 0 % right" not in picture.content.replace("15 %", "").replace("25 %", "")  # no images there
    assert "n = 9,000 test images" in picture.caption
    assert "Expected calibration error 5.0 %" in picture.caption
