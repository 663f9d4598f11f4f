"""The unit of a loss on its way from the task through the run to the axis of its curve."""

import shutil
from pathlib import Path

import pytest
import tiny

from shoestring import api
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.recipes.recipe import Recipe
from shoestring.report.run_data import read
from shoestring.training.train import train


def flow(pictures: Path) -> Recipe:
    net = {"kind": "unet", "width": 16, "depths": [1, 1, 1], "embedding": 8, "attention": 32, "patch": 2}
    task, budget = {"kind": "flow", "sampling": {"steps": 1}}, {"parameters": 100_000, "steps": 1}
    return tiny.gan(pictures, net=net, task=task, anneal={}, batch_size=2, budget=budget)


def trained(recipe: Recipe, folder: Path) -> Run:
    train(recipe, Run(folder), folder, "cpu", Progress(), {})
    return Run(folder)


def axes(runs: list[Run], folder: Path) -> set[str]:
    """The labels of axes that show losses."""
    page = api.write_report(runs, folder / "page.html").read_text()
    return {label for label in ("loss (nats)", "loss") if f">{label}</text>" in page}


def test_a_flows_loss_has_no_unit(pictures: Path, tmp_path: Path) -> None:
    run = trained(flow(pictures), tmp_path / "flow")
    assert run.read_json("environment.json")["loss_unit"] == ""
    assert axes([run], tmp_path) == {"loss"}
    run_data = run.read_json("environment.json")
    del run_data["loss_unit"]  # as a former version left it
    run.write_json("environment.json", run_data)
    assert axes([run], tmp_path) == {"loss"}


def test_cross_entropies_are_in_nats(classifier_run: Run, gan_run: Run, tmp_path: Path) -> None:
    assert axes([classifier_run], tmp_path) == axes([gan_run], tmp_path) == {"loss (nats)"}
    assert axes([classifier_run, gan_run], tmp_path) == {"loss (nats)"}


def test_runs_whose_units_differ_share_an_axis_without_one(pictures: Path, gan_run: Run, tmp_path: Path) -> None:
    other = Run(tmp_path / "other")
    shutil.copytree(gan_run.folder, other.folder)
    other.write_json("environment.json", other.read_json("environment.json") | {"loss_unit": ""})
    page = api.write_report([gan_run, other], tmp_path / "both.html").read_text()
    drawn = [part.split("</svg>")[0] for part in page.split("<h3>Train loss, ")[1:]]
    assert len(drawn) == 2
    assert all(">loss</text>" in chart for chart in drawn)
    assert [run_data.loss_label for run_data in read([gan_run, other])] == ["loss (nats)", "loss"]


@pytest.mark.parametrize(("penalty", "unit"), [(0, "nats"), (0.1, "")])
def test_a_gradient_penalty_has_another_unit(pictures: Path, penalty: float, unit: str) -> None:
    assert tiny.gan(pictures, task__r1=penalty).task.loss_unit == unit
