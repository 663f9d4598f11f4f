"""What scripts/results.py makes of runs: who is averaged with whom, the tables, the figures' data, and absent runs."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pages import contest, samplings, speed
from pages.ablations import ablations
from pages.chart import Chart, Point, Series, read_chart
from pages.figure import STYLE, data_file, draw, is_current, write
from pages.runs import HOMES, ROOT, Entry, entries, kept_runs
from pages.tables import generators, markdown

from shoestring.api import recipe
from shoestring.core.budget import Layer
from shoestring.core.run import Run
from shoestring.metrics.classification import train_metrics_summary
from shoestring.metrics.statistics import fraction
from shoestring.recipes.lookup import overrides_of
from shoestring.report.format import ABSENT
from shoestring.report.run_data import RunData, read
from shoestring.report.svg import canvas

IMAGES = 10_000


def made(
    folder: Path, name: str, accuracy: float, parameters: int = 90_000, split: str = "test", **fields: Any
) -> None:
    """A finished run of a recipe with some fields changed, measured on a split."""
    asked = recipe(name, **{"data": {"tune": 0}, **fields})
    run, layer = Run(folder), Layer("classifier", "Conv2d 3x3", (8, 8), parameters, 2_000_000)
    run.write_recipe(asked.to_json(), [layer], overrides_of(asked))
    session = {"started": "2026-01-02T03:04:05+00:00", "from_step": 0, "to_step": asked.budget.steps, "seconds": 60.0}
    machine = {"device": "cpu", "processor": "EPYC", "cores": 2}
    run.write_json("environment.json", {"versions": {}, "machine": machine, "sessions": [session]})
    metric = fraction(round(accuracy * IMAGES), IMAGES, "").to_json()
    run.write_metrics(split, {"accuracy": metric | {"source": "ten thousand images"}})
    run.write_weights({"weight": torch.zeros(1)}, {})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Three seeds of a recipe, one of them with another cadence; another width; a tune run; another data set."""
    made(tmp_path / "addnist-best", "addnist-best", 0.99)
    made(tmp_path / "addnist-best-seed1", "addnist-best", 0.992, seed=1)
    made(tmp_path / "addnist-best-seed2", "addnist-best", 0.994, seed=2, cadence={"log": 7})
    made(tmp_path / "addnist-best-curve-12k", "addnist-best", 0.97, 12_000, net={"width": 8})
    made(tmp_path / "addnist-best-tune", "addnist-best", 0.98, split="tune", data={"tune": 15_000})
    made(tmp_path / "cifar100-best", "cifar100-best", 0.66)
    return tmp_path


def by_label(runs: list[RunData], data: str) -> dict[str, Entry]:
    return {entry.label: entry for entry in entries(runs, data)}


def test_seeds_stand_together_and_nothing_else(home: Path) -> None:
    found = by_label(kept_runs([home]), "addnist")
    assert {label: entry.seeds for label, entry in found.items()} == {
        "addnist-best": [0, 1, 2],
        "addnist-best-curve-12k": [0],
    }
    assert [entry.accuracy for entry in found.values()] == pytest.approx([0.992, 0.97])  # best first
    assert list(by_label(kept_runs([home]), "cifar100")) == ["cifar100-best"]


def test_intervals_are_student_s_over_seeds_and_wilson_s_of_one_run(home: Path) -> None:
    found = by_label(kept_runs([home]), "addnist")
    several, single = found["addnist-best"], found["addnist-best-curve-12k"]
    assert several.std == pytest.approx(0.002)
    half = 4.302653 * 0.002 / math.sqrt(3) / (0.992 * 0.008)  # on the logistic scale
    ends = [1 / (1 + math.exp(-(math.log(0.992 / 0.008) + sign * half))) for sign in (-1, 1)]
    assert several.interval == pytest.approx(ends, abs=1e-8)
    assert single.std is None
    z, p, n = 1.959964, 0.97, IMAGES
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert single.interval == pytest.approx([middle - half, middle + half], abs=1e-7)


def test_contest_has_everyone_best_first_with_empty_cells_where_nobody_told(home: Path) -> None:
    columns, rows = contest.contest(kept_runs([home]), "addnist")
    table = [dict(zip(columns, row, strict=True)) for row in rows]
    shown = [float(re.findall(r"[\d.]+", row["accuracy"])[0]) for row in table]
    assert shown == sorted(shown, reverse=True)
    ours = table[0]
    assert ours == {
        "system": "[addnist-best](../addnist-best)", "accuracy": "**99.20 %**", "std": "0.20 %",
        "95 % interval": "98.5 to 99.6 %", "seeds": "3 (0, 1, 2)", "test images": "10,000", "parameters": "90,000",
        "multiply-adds": "8 M", "steps": "10,000", "images seen": "960 k", "wall time": "1 min 00 s each",
        "machine": "EPYC, 2 cores", "source": "ten thousand images",
    }  # fmt: skip
    rival = next(row for row in table if row["accuracy"] == "84.95 %")
    assert (rival["parameters"], rival["steps"]) == ("at most 100,000", "at most 10,000")
    assert rival["source"] == "self-reported, same budgets"
    assert not any(rival[column] for column in ("std", "95 % interval", "seeds", "machine", "images seen"))
    other = contest.contest(kept_runs([home]), "cifar100")[1]
    assert other[-1][0] == "ConvNeXt-like net on CIFAR-10"  # not to be compared, so not at the top
    assert next(row for row in other if row[1] == "57.7 %")[9] == "at most 5.12 M"


def test_without_runs_only_others_are_left(tmp_path: Path) -> None:
    for data, count in (("addnist", 5), ("cifar100", 4)):
        rows = contest.contest(kept_runs([tmp_path / "nothing"]), data)[1]
        assert len(rows) == count
        assert not any("](" in cell for row in rows for cell in row)
        assert not [series for series in read_chart([], data).series if series.kind in ("ours", "aside")]


def test_published_results_stand_once_beside_the_runs_that_rebuild_them(tmp_path: Path) -> None:
    for seed in range(2):
        made(tmp_path / f"effnet{seed}", "addnist-effnet", 0.95, 98_720, seed=seed)
    runs = kept_runs([tmp_path])
    (paper,) = contest.papers(runs, "addnist")
    assert (paper.said, paper.parameters, paper.steps, paper.batch_size) == ("94.1 %", 98_720, 10_000, 256)
    (point,) = (one.points[0] for one in read_chart(runs, "addnist").series if one.kind == "paper")
    assert (point.parameters, point.accuracy) == (98_720, 0.941)


def test_chart_has_a_series_for_each_kind_of_net_and_levels(home: Path) -> None:
    made(home / "addnist-quick", "addnist-quick", 0.95, 51_706)
    made(home / "addnist-effnet", "addnist-effnet", 0.951, 98_720)
    made(home / "cifar100-best-relu", "cifar100-best", 0.67, net={"activation": "relu"})
    chart = read_chart(kept_runs([home]), "addnist")
    series = {one.label: one for one in chart.series}
    family = series["addnist-best, 2 sizes"]
    assert [(p.parameters, p.accuracy, p.seeds) for p in family.points] == [(12_000, 0.97, 1), (90_000, 0.992, 3)]
    assert series["addnist-effnet, 95.1 %"].kind == family.kind == "ours"
    assert series["addnist-quick, 95.0 % (600 steps, other test images)"].kind == "aside"
    assert [accuracy for _, accuracy in chart.levels] == [0.9898, 0.9791]
    assert [p.accuracy for one in chart.series if one.kind == "limited" for p in one.points] == [0.904, 0.877, 0.8495]
    assert "second rival, 90.4 % (≤ 100k)" in series
    other = read_chart(kept_runs([home]), "cifar100")
    assert [one.label for one in other.series if one.kind == "ours"] == [
        "cifar100-best-relu, 67.0 %",  # as many parameters, so on no line with the other
        "cifar100-best, 66.0 %",
    ]
    assert "CIFAR-10," not in str(other)


def test_figure_shows_every_point_and_names_every_series(home: Path) -> None:
    made(home / "addnist-quick", "addnist-quick", 0.95, 51_706)
    for data in ("addnist", "cifar100"):
        chart = read_chart(kept_runs([home]), data)
        with canvas(9, 6.2, **STYLE) as figure:
            draw(chart, figure)
            (axes,), (legend,) = figure.axes, figure.legends
            figure.draw_without_rendering()
            shown = {tuple(point) for line in axes.lines for point in line.get_xydata().tolist()}
            named = [text.get_text() for text in legend.get_texts()]
            whole, inside = figure.bbox, legend.get_window_extent()
            limits = axes.get_xlim(), axes.get_ylim()
        for one in chart.series:
            for point in one.points:
                assert (point.parameters, point.accuracy) in shown
                assert limits[0][0] < point.parameters < limits[0][1]
                assert limits[1][0] < point.accuracy < limits[1][1]
        labels = [label for label, _ in chart.levels] + [one.label for one in chart.series]
        assert sorted(named) == sorted(["budget: 100,000 parameters", *labels])
        assert whole.x0 <= inside.x0 < inside.x1 <= whole.x1
        assert whole.y0 <= inside.y0 < inside.y1 <= whole.y1


def test_figure_is_the_same_bytes_again_and_stale_when_its_data_changes(tmp_path: Path) -> None:
    point = Point(50_000, 0.9, (0.89, 1.0), 2)  # an interval may end at 100 %, which is infinitely high
    series = [Series("one, 90.0 %", "ours", [point])]
    chart, file = Chart("Data", series, [("level", 0.95)]), tmp_path / "figures" / "data.svg"
    assert not is_current(chart, file)
    write(chart, file)
    before = file.read_bytes()
    assert is_current(chart, file)
    assert b"<text" not in before  # letters are outlines: a reader's fonts change nothing
    write(chart, file)
    assert file.read_bytes() == before
    assert not is_current(Chart("Data", [], chart.levels), file)
    data_file(file).write_text(data_file(file).read_text().replace("0.9,", "0.8,"))
    assert not is_current(chart, file)
    write(chart, file)
    file.write_text(file.read_text().replace("sha256:", "sha256:0"))
    assert not is_current(chart, file)


def test_ablations_are_differences_to_the_recipe_as_it_is(tmp_path: Path) -> None:
    short = {"budget": {"steps": 1_000}, "data": {"tune": 15_000}}
    folder = tmp_path / "addnist-best"
    for seed, accuracy in enumerate((0.98, 0.984)):
        made(folder / f"whole-seed{seed}", "addnist-best", accuracy, split="tune", seed=seed, **short)
    made(folder / "no-ema", "addnist-best", 0.972, split="tune", ema=(), **short)
    made(folder / "one-rotation-for-all", "addnist-best", 0.977, split="tune", augment={"per_channel": False}, **short)
    lines = ablations(tmp_path).splitlines()
    assert lines[0] == "## What each idea is worth"
    assert "### `addnist-best`" in lines
    assert "In all rows: `budget.steps` 1,000 instead of 10,000." in lines
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| [")]
    assert [[re.sub(r"\(.*\)", "", row[0]), row[1], row[2], row[4], row[6]] for row in rows] == [
        ["[nothing]", "", "98.20 %", "2", ""],
        ["[no ema]", "`ema` none instead of 0.999", "97.20 %", "1", "−1.00 points"],
        ["[one rotation for all]", "`augment.per_channel` no instead of yes", "97.70 %", "1", "−0.50 points"],
    ]


def test_ablations_of_generators_tell_the_last_distance_of_their_logs(tmp_path: Path) -> None:
    home, short = tmp_path / "cifar100-gan-best", {"budget": {"steps": 2_000}, "data": {"tune": 5_000}}
    for name, end, change in (
        ("whole", 9.5, {}),
        ("no-class", 14.25, {"task": {"conditional": False}}),
        ("no-augmentation", 9.25, {"task": {"augment": {"translation": 0}}}),
    ):
        made(home / name, "cifar100-gan-best", 0.0, **short, **change)
        for split, step, distance in (("tune", 1_000, 50.0), ("tune", 2_000, end), ("train", 2_000, 1.0)):
            record = {"step": step, "kind": "distance", "to": split, "n": 1_500, "mean": {"cifar_resnet_fd": distance}}
            Run(home / name).append_log([record])
    lines = ablations(tmp_path).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| [")]
    assert [[re.sub(r"\(.*\)", "", row[0]), *row[1:]] for row in rows] == [
        ["[nothing]", "", "9.500", "1", "1,500", ""],
        ["[no class]", "`task.conditional` no instead of yes", "14.25", "1", "1,500", "+4.75"],
        ["[no augmentation]", "`task.augment.translation` 0 instead of 0.125", "9.250", "1", "1,500", "−0.25"],
    ]


def test_without_the_whole_recipe_differences_are_unknown_and_without_runs_there_is_no_section(tmp_path: Path) -> None:
    assert ablations(tmp_path) == ""
    (tmp_path / "addnist-best" / "empty").mkdir(parents=True)
    assert ablations(tmp_path) == ""
    data = {"tune": 15_000}
    made(tmp_path / "addnist-best" / "a", "addnist-best", 0.97, split="tune", ema=(), data=data)
    made(tmp_path / "addnist-best" / "b", "addnist-best", 0.96, split="tune", batch_size=64, data=data)
    assert ablations(tmp_path).count("| – |") == 2


def test_figures_are_those_of_the_runs() -> None:
    figures = Path(__file__).parents[2] / "docs" / "figures"
    for data in ("addnist", "cifar100"):
        assert is_current(read_chart(kept_runs(HOMES), data), figures / f"{data}.svg"), "run python scripts/results.py"


def test_recorded_train_lines_are_those_of_the_logs() -> None:
    homes = (*HOMES, *sorted((ROOT / "results" / "ablations").iterdir()))
    runs = [run_data.run for run_data in kept_runs(homes) if run_data.classifies]
    assert len(runs) > 20
    for run in runs:
        recorded = run.metrics()["train"]
        for name, line in train_metrics_summary(run.log("train")).items():
            for key in ("value", "std", "n", "interval"):
                assert recorded[name][key] == pytest.approx(getattr(line, key), rel=1e-12), f"{run.folder}: {key}"


def test_generators_stand_beside_real_images_with_their_excess(tmp_path: Path) -> None:
    asked = recipe("cifar100-dcgan-44")
    run = Run(tmp_path / asked.name)
    run.write_recipe(asked.to_json(), [Layer("generator", "Linear", (8,), 10, 10)], {})
    fid: dict[str, Any] = {
        "value": 0.5,
        "n": 10_000,
        "interval": None,
        "std": 0.0123,
        "by_seed": [0.49, 0.5, 0.51],
    }
    recall: dict[str, Any] = {
        "value": 0.02,
        "n": 10_000,
        "interval": [0.01, 0.03],
        "std": None,
        "by_seed": [0.02],
    }
    scores = {"fid_768_clean": fid | {"real_baseline": 0.1, "gap_to_real": 0.4}, "recall_768_clean": recall}
    run.write_metrics("test", {**scores, "histogram": {"value": [1, 2], "n": 10_000}})
    columns, rows = generators(read([run]))
    assert columns[:3] == ("score", "n", "real images")
    assert "cifar100-dcgan-44" in columns[3]
    assert rows == [
        ["FID (768, clean)", "10,000", "0.1000", "0.5000 ± 0.012 (+0.400)"],
        ["recall (768, clean)", "10,000", "–", "0.02000 [0.010 to 0.030]"],
        ["published FID", "", "", "50.28"],
    ]


def test_ways_of_sampling_are_told_with_their_net_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplings, "FOLDER", tmp_path)
    fid = {"value": 0.25, "n": 10_000, "std": 0.01, "by_seed": [0.24, 0.26], "gap_to_real": 0.23}
    endless = {"value": 0.2, "n": 10_000}
    untruncated = {"truncation": 1.0, "pixel_ascent_step_size": 0.3}
    ways: list[tuple[str, str | None, dict[str, Any]]] = [
        ("cifar100-flow-quick", None, {"steps": 25, "solver": "multistep", "guidance": 2.0}),
        ("cifar100-flow-quick", "none", {"steps": 12, "solver": "multistep", "guidance": 1.0}),
        ("cifar100-gan-best", "none", untruncated | {"feature_ascent_steps": 0, "pixel_ascent_steps": 0}),
        ("cifar100-gan-best", None, untruncated | {"feature_ascent_steps": 2, "pixel_ascent_steps": 5}),
    ]
    for number, (name, label, sampling) in enumerate(ways):
        found = {"target": name, "split": "test", "seeds": 2, "class": label, "sampling": sampling}
        text = json.dumps(found | {"fid_768_clean": fid, "fid_768_clean_infinite": endless})
        (tmp_path / f"{number}.json").write_text(text, encoding="utf-8")
    columns, rows = samplings.samplings()
    first, second, third, fourth = (dict(zip(columns, row, strict=True)) for row in rows)
    assert (first["NFE"], second["NFE"], third["NFE"], fourth["NFE"]) == ("12", "50", "1", "19")
    assert (first["class given"], second["class given"], third["class given"]) == ("no", "yes", "no")
    assert "12 steps" in first["how"]
    assert "guidance" not in first["how"]
    assert "guidance 2" in second["how"]
    assert first["FID"] == "0.2500 ± 0.010 (+0.230)"
    assert first["KID"] == ABSENT
    assert (third["generator"], third["how"]) == ("`cifar100-gan-best`", "one call")
    assert fourth["how"] == "2 feature ascent steps of 10, 5 pixel ascent steps of 0.3"


def test_times_of_making_images_are_those_of_generators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "FOLDER", tmp_path)
    machine = {"device": "cpu", "processor": "A processor", "threads": 1, "precision": "bfloat16"}
    files = {"a": {"recipe": "b", "nfe": 12, "image_milliseconds": 60.0}, "b": {"recipe": "classifier"}}
    for name, run_data in files.items():
        (tmp_path / f"speed-{name}.json").write_text(json.dumps(run_data | {"machine": machine}), encoding="utf-8")
    by_one = {"recipe": "b", "nfe": 1, "image_milliseconds": 6.0, "machine": machine}
    (tmp_path / "making-b.json").write_text(json.dumps(by_one), encoding="utf-8")
    assert speed.making()[1] == [
        ["`b`", "1", "1 min 00 s", "A processor, 1 thread, bfloat16"],
        ["`b`", "12", "10 min 00 s", "A processor, 1 thread, bfloat16"],
    ]


def test_an_empty_table_is_a_sentence() -> None:
    assert markdown((("a", "b"), [])) == "Not measured yet."
