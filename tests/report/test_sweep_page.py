import json
from pathlib import Path

import pytest

from shoestring.core.errors import RunError
from shoestring.core.run import Run
from shoestring.report.sweep_charts import Scale, sweep_charts
from shoestring.report.sweep_page import build


def training(name, seed=0, state="finished", value=0.5, step=100, reason=""):
    return {"run": f"runs/{name}", "seed": seed, "state": state, "value": value, "step": step, "seconds": 2.0} | {
        "reason": reason
    }


def point(number, rate, net, value, interval=(0.4, 0.6), state="finished", reason=""):
    metric = {"value": value, "n": 2, "interval": interval, "std": 0.1} if state == "finished" else None
    return {
        "number": number,
        "fields": {"optimiser.learning_rate": rate, "net": net},
        "state": state,
        "reason": reason,
        "metric": metric,
        "trainings": [training(f"point-{number:04d}-seed-0", state=state, value=value, reason=reason)],
    }


def results(**changed):
    axes = [
        {"name": "optimiser.learning_rate", "fields": ["optimiser.learning_rate"], "range": True, "log": True},
        {"name": "net", "fields": ["net"], "range": False, "log": False},
    ]
    points = [
        point(3, 0.01, "basic", 0.75),
        point(1, 0.001, {"kind": "bottleneck"}, 0.5, interval=None),
        point(0, 0.0001, "<b>mine</b>", 0.25),
        point(2, 0.1, "basic", None, state="failed", reason="the loss became NaN <script>"),
    ]
    return {
        "recipe": "tiny",
        "complete": True,
        "measure": "accuracy",
        "larger_is_better": True,
        "search": "random",
        "seeds": 2,
        "axes": axes,
        "points": points,
        "best": 3,
        "confirmation": point(3, 0.01, "basic", 0.7),
        "importance": {"optimiser.learning_rate": 0.8, "net": None},
        "cost": {"steps": 400, "seconds": 8.0, "trainings": 4, "failed": 1, "pruned": 0, "steps_of_one": 100},
        "notes": ["each point was trained once"],
    } | changed


@pytest.fixture
def folder(tmp_path: Path):
    for number in range(4):
        records = [{"step": step, "kind": "tune", "n": 6, "mean": {"accuracy": step / 200}} for step in (50, 100)]
        Run(tmp_path / "runs" / f"point-{number:04d}-seed-0").append_log(records)
    return tmp_path


def page(folder, **changed):
    (folder / "results.json").write_text(json.dumps(results(**changed)))
    return build(folder).read_text(encoding="utf-8")


def test_the_page_says_what_was_found_and_what_it_cost(folder):
    text = page(folder)
    for said in (
        "75.00 %",
        "70.00 %",
        "400 steps",
        "4 trainings of up to 100 steps",
        "1 failed",
        "Each point was trained",
    ):
        assert said in text
    assert "the loss became NaN &lt;script&gt;" in text
    assert "<b>mine" not in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert text.index(">3</th>") < text.index(">1</th>") < text.index(">0</th>") < text.index(">2</th>")


def test_the_same_results_give_the_same_bytes(folder):
    assert page(folder) == page(folder)


def test_every_chart_is_there_with_the_best_in_the_legend(folder):
    charts = {chart.title: chart for chart in sweep_charts(folder, results())}
    assert list(charts) == [
        "All points",
        "optimiser.learning_rate",
        "net",
        "Importance of each field",
        "Curves of the best",
    ]
    assert [key.text for key in charts["All points"].legend] == ["point 3", "point 1", "point 0"]
    assert [key.text for key in charts["Curves of the best"].legend] == ["point 3", "point 1", "point 0"]
    assert "optimiser.learning_rate 80.0 %" in charts["Importance of each field"].content


def test_places_on_a_logarithmic_axis_are_those_of_the_exponents(folder):
    found = results()
    scale = Scale(found["axes"][0], found["points"][:3])
    assert [scale.place(one) for one in found["points"][:3]] == pytest.approx([1, 0.5, 0])
    kinds = Scale(found["axes"][1], found["points"][:3])
    assert [kinds.place(one) for one in found["points"][:3]] == [0, 0.5, 1]
    assert [text for _, text in kinds.ticks()] == ["basic", '{"kind": "bottl…', "<b>mine</b>"]


@pytest.mark.parametrize("measure", ["loss", "cifar_resnet_fd"])
def test_a_sweep_by_another_measure_shows_numbers(folder, measure):
    text = page(folder, measure=measure, larger_is_better=False)
    assert "0.7500" in text
    assert "lower is better" in text


def test_a_sweep_of_which_nothing_is_finished_has_a_page(folder):
    nothing = {"points": [results()["points"][3]], "best": None, "confirmation": None, "complete": False}
    text = page(folder, importance={}, **nothing)
    assert "No training is finished" in text
    assert "It is not finished" in text


def test_one_point_alone_has_charts(folder):
    alone = {"points": results()["points"][:1], "importance": {"net": None}}
    assert "Curves of the best" in page(folder, **alone)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"results.json cannot be read .*run the same `sweep` command again"):
        build(tmp_path)
