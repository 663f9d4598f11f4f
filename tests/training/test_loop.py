from pathlib import Path

import pytest
import tiny
import torch
from safetensors import safe_open

from shoestring.core.budget import Budget
from shoestring.core.checkpoints import Checkpoints
from shoestring.core.errors import DivergedError, OverBudgetError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.model.classifier import Classifier
from shoestring.model.train_state import State
from shoestring.recipes.recipe import Recipe
from shoestring.training import loop as the_loop
from shoestring.training import metric_logger as logger
from shoestring.training import train as the_train
from shoestring.training.step import TrainStep
from shoestring.training.train import train


def go(recipe: Recipe, run: Run, progress: Progress | None = None) -> None:
    train(recipe, run, Path(), "cpu", progress or Progress(), {})


@pytest.mark.parametrize("make", [tiny.classifier, tiny.gan])
def test_one_loop_takes_exactly_the_steps_of_the_budget(make, pictures: Path, tmp_path: Path, monkeypatch) -> None:
    looped: list[Recipe] = []
    real = the_loop.loop
    monkeypatch.setattr(the_train, "loop", lambda recipe, *rest: (looped.append(recipe), real(recipe, *rest)))
    steps: list[int] = []
    take_step = Budget.take_step
    monkeypatch.setattr(Budget, "take_step", lambda self, step: steps.append(step) or take_step(self, step))
    recipe, run = make(pictures, budget__steps=7), Run(tmp_path)
    go(recipe, run)
    assert looped == [recipe]
    assert steps == list(range(7))
    assert sum(record["count"] for record in run.log("train")) == 7
    saved = torch.load(run.checkpoints.last(), weights_only=True)
    assert saved["step"] == 7
    taken = {float(inner["step"]) for o in saved["optimisers"].values() for inner in o["state"].values()}
    assert taken == {7.0}
    with safe_open(run.weights_file, "pt") as file:
        assert file.metadata() == {"recipe": recipe.name, "fingerprint": recipe.fingerprint(), "step": "7"}


def test_a_step_past_the_budget_cannot_be_taken(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    # A loop that forgot when to stop is stopped by the budget.
    monkeypatch.setattr(State, "update_ema", lambda self: setattr(self, "step", min(self.step, 6)))
    monkeypatch.setattr(Budget, "take_step", _counting(Budget.take_step))
    with pytest.raises(OverBudgetError, match="all 7 steps of the budget are spent"):
        go(tiny.classifier(pictures, budget__steps=7), Run(tmp_path))


def _counting(take_step):
    taken = [0]

    def counted(self: Budget, step: int) -> int:
        taken[0] = take_step(self, taken[0])
        return step + 1

    return counted


def test_learning_rates_follow_the_schedule(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    rates: list[float] = []
    average = State.update_ema

    def watched(self: State) -> None:
        rates.append(self.optimisers["classifier"].param_groups[0]["lr"])
        average(self)

    monkeypatch.setattr(State, "update_ema", watched)
    recipe, run = tiny.classifier(pictures), Run(tmp_path)
    go(recipe, run)
    assert rates == pytest.approx([0.01 * recipe.schedule.factor(step, 12) for step in range(12)], rel=1e-12)
    assert [record["learning_rate"] for record in run.log("train")] == [rates[r["step"] - 1] for r in run.log("train")]


def test_the_log_of_a_short_training_has_fifty_records(pictures: Path, tmp_path: Path) -> None:
    run = Run(tmp_path)
    go(tiny.classifier(pictures, budget__steps=100, cadence={}), run)
    assert [record["step"] for record in run.log("train")] == list(range(2, 101, 2))
    assert [record["step"] for record in run.log("tune")] == [50, 100]


def test_the_log_holds_means_and_deviations_of_single_steps(pictures: Path, tmp_path: Path) -> None:
    fine, coarse = Run(tmp_path / "fine"), Run(tmp_path / "coarse")
    go(tiny.classifier(pictures, cadence__log=1), fine)
    go(tiny.classifier(pictures, cadence__log=4, cadence__checkpoint=12, cadence__evaluate=12), coarse)
    single = torch.tensor([list(record["mean"].values()) for record in fine.log("train")], dtype=torch.float64)
    assert [record["std"] for record in fine.log("train")] == 12 * [{"classifier/loss": 0.0, "accuracy": 0.0}]
    for index, record in enumerate(coarse.log("train")):
        part = single[4 * index : 4 * index + 4]
        assert record["step"] == 4 * index + 4
        assert list(record["mean"].values()) == pytest.approx(part.mean(0).tolist(), abs=2e-6)
        assert list(record["std"].values()) == pytest.approx(part.std(0, correction=0).tolist(), abs=2e-6)


def test_looks_at_tune_when_asked_and_leaves_the_training_as_it_was(pictures: Path, tmp_path: Path) -> None:
    often, never = Run(tmp_path / "often"), Run(tmp_path / "never")
    go(tiny.classifier(pictures, cadence__evaluate=1, data__tune=6, ema=[]), often)
    go(tiny.classifier(pictures, cadence__evaluate=12, data__tune=6, ema=[]), never)
    assert [record["step"] for record in often.log("tune")] == list(range(1, 13))
    assert {record["n"] for record in often.log("tune")} == {6}
    assert [record["step"] for record in never.log("tune")] == [12]
    assert often.log("tune")[-1]["mean"] == never.log("tune")[-1]["mean"]
    ours, theirs = often.read_weights(), never.read_weights()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_generators_draw_samples_when_asked(pictures: Path, tmp_path: Path) -> None:
    run = Run(tmp_path)
    go(tiny.gan(pictures, cadence__evaluate=5), run)
    assert sorted(path.name for path in run.pictures.glob("step-*.png")) == [
        "step-00000005.png",
        "step-00000010.png",
        "step-00000012.png",
    ]


def all_finite(run: Run) -> bool:
    for path in (run.folder / "checkpoints").glob("*.pt"):
        saved = torch.load(path, weights_only=True)
        for nets in (saved["nets"], *saved["ema"].values()):
            if not all(tensor.isfinite().all() for tensor in nets.values()):
                return False
    return True


def poisoned(monkeypatch: pytest.MonkeyPatch, kind: type, step: int, poison) -> None:
    """Spoils the loss from a step on."""
    loss, calls = kind.loss, [0]

    def spoilt(self, phase, nets, batch):
        value, facts = loss(self, phase, nets, batch)
        calls[0] += phase == self.phases[0]
        return (poison(value, nets), facts) if calls[0] == step else (value, facts)

    monkeypatch.setattr(kind, "loss", spoilt)


@pytest.mark.parametrize(("make", "fact"), [(tiny.classifier, "classifier/loss"), (tiny.gan, "discriminator/loss")])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_not_finite_stops_at_its_step_and_names_the_last_good_checkpoint(
    make, fact, value, pictures: Path, tmp_path: Path, monkeypatch
) -> None:
    recipe, run = make(pictures), Run(tmp_path)
    poisoned(monkeypatch, type(recipe.task), 8, lambda loss, _: loss * float(value))
    with pytest.raises(DivergedError) as stop:
        go(recipe, run)
    last = run.checkpoints.last()
    assert last.name.startswith("step-00000006-")
    assert f"{fact} became NaN or infinite at step 8; the last good checkpoint is {last}" in str(stop.value)
    assert all_finite(run)
    assert not run.finished()
    assert max(record["step"] for record in run.log()) == 6
    assert run.read_json("environment.json")["sessions"][-1]["to_step"] == 8


def test_before_the_first_checkpoint_it_says_that_there_is_none(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"at step \d+; no checkpoint was saved before it"):
        go(tiny.classifier(pictures, optimiser__learning_rate=1e30, cadence__checkpoint=12), Run(tmp_path))


@pytest.mark.parametrize(("step", "evaluate"), [(6, 12), (6, 3), (12, 12)])
def test_weights_that_are_not_finite_are_neither_saved_nor_looked_at(
    step: int, evaluate: int, pictures: Path, tmp_path: Path, monkeypatch
) -> None:
    # The loss of the step is finite, its gradient is not: only the weights tell.
    def poison(loss, nets):
        weight = next(nets.parameters())
        return loss + (weight * 0).abs().sum().sqrt()

    recipe, run = tiny.classifier(pictures, cadence__evaluate=evaluate), Run(tmp_path)
    poisoned(monkeypatch, type(recipe.task), step, poison)
    with pytest.raises(DivergedError, match=rf"nets/classifier.* became NaN or infinite by step {step}; the last good"):
        go(recipe, run)
    assert run.checkpoints.last().name.startswith(f"step-{step - 3:08d}-")
    assert all_finite(run)
    assert all(record["step"] < step for record in run.log("tune"))
    assert not run.finished()


def test_the_clock_of_the_log_stands_still_while_tune_is_looked_at_and_all_is_saved(
    pictures: Path, tmp_path: Path, monkeypatch
) -> None:
    now, slow = [0.0], []
    monkeypatch.setattr(logger.time, "perf_counter", lambda: now[0])

    def takes(kind: type, name: str, seconds: float) -> None:
        act = getattr(kind, name)

        def timed(self, *arguments):
            now[0] += seconds
            slow.append(name)
            return act(self, *arguments)

        monkeypatch.setattr(kind, name, timed)

    takes(TrainStep, "__call__", 0.5)
    takes(Checkpoints, "write", 1000)
    takes(Classifier, "logits_of_normalised", 1000)
    takes(Run, "append_log", 1000)
    recipe, run = tiny.classifier(pictures, cadence__log=2), Run(tmp_path)
    go(recipe, run)
    assert {"write", "logits_of_normalised", "append_log"} <= set(slow)
    assert {record["images_per_second"] for record in run.log("train")} == {2 * recipe.batch_size}
    assert run.read_json("environment.json")["training_seconds"] == 6.0
