"""Several processes learn what one does: gradients and losses, to the bit when they go on, and they end together."""

import copy
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import own_parts
import pytest
import tiny
import torch
from torch import Tensor

from shoestring.core.device import Engine, Machine
from shoestring.core.errors import RecipeError
from shoestring.core.processes import ALONE, Processes, shared_by
from shoestring.core.progress import Progress
from shoestring.core.rng import generator
from shoestring.core.run import Run
from shoestring.model.build import initialise
from shoestring.model.train_state import State
from shoestring.nets.conditional_dcgan import ConditionalDCGAN
from shoestring.nets.unet import ThriftyUNet
from shoestring.recipes.lookup import located
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.flow.flow_matching import Flow
from shoestring.tasks.flow.samplers import ODESampling
from shoestring.tasks.gan.ada_augment import ADAugment
from shoestring.tasks.gan.diffaugment import DiffAugment
from shoestring.tasks.gan.task import Adversarial
from shoestring.training.loop import Stopped
from shoestring.training.sharing import started
from shoestring.training.step import TrainStep, make_optimiser_step
from shoestring.training.train import train

PROGRAM = "import sys; from shoestring.cli import main; sys.exit(main())"
# Where gradients are near zero, Adam's updates are signs of rounding errors unless they are damped.
STEADY = {"optimiser__epsilon": 1e-2, "batch_size": 16, "budget__steps": 4, "cadence__log": 1}


@pytest.fixture(scope="module")
def company() -> Generator[Processes]:
    """This process and another one, for all trainings of this page."""
    with started(replace(Machine.choose(Engine(threads=1), "cpu"), processes=2)) as processes:
        yield processes


def classifier(pictures: Path) -> Recipe:
    return tiny.classifier(pictures, task__mixup=0.3, task__class_weights=True, **STEADY)


def penalised_gan(pictures: Path) -> Recipe:
    """3 of 16 images are penalised, 2 by one process and 1 by the other."""
    task = Adversarial(
        rule="relativistic",
        conditional=True,
        r1=1.0,
        r2=0.5,
        penalty_fraction=0.2,
        augment=DiffAugment(colour=1),
        ada=ADAugment(probability=0.5),
    )
    net = ConditionalDCGAN(generator=(8, 6, 4, 4), discriminator=(8, 6, 4, 4), latent=4, embedding=3)
    return tiny.gan(pictures, task=task.model_dump(), net=net.model_dump(), **STEADY)


def normed_gan(pictures: Path) -> Recipe:
    """The gradient at an image goes through batch norms, which depend on the images of both processes."""
    return tiny.gan(pictures, task__label_bound=0, task__r1=0.5, **STEADY)


def flow(pictures: Path) -> Recipe:
    """Times are drawn from strata of the whole batch."""
    net = ThriftyUNet(width=16, depths=(1, 1, 2), embedding=8, attention=32)
    task = Flow(sampling=ODESampling(solver="euler", steps=1))
    values = {"task": task.model_dump(), "net": net.model_dump(), "anneal": {}}
    return tiny.gan(pictures, **values, **STEADY | {"data__size": 8, "budget__parameters": 100_000})


def own_net(pictures: Path) -> Recipe:
    """Dropout, whose masks are drawn for the images of both processes."""
    file = pictures.parent / "my_net.py"
    file.write_text(own_parts.NET)
    net = {"kind": f"{file}:TinyNet", "options": {"dropout": 0.3}}
    return tiny.classifier(pictures, net=net, **STEADY | {"budget__parameters": 5_000})


def trained(recipe: Recipe, run: Run, company: Processes | None = None, **more) -> Run:
    """The run of a recipe, with as many processes as there are in a company."""
    together = tiny.changed(recipe, {"engine__processes": company.count}) if company else recipe
    train(together, run, Path(), "cpu", Progress(), {}, **more, **{"company": company} if company else {})
    return run


RECIPES = [classifier, penalised_gan, normed_gan, flow, own_net]


@pytest.mark.parametrize("make", RECIPES)
def test_two_processes_learn_what_one_learns(make, company: Processes, pictures: Path, tmp_path: Path) -> None:
    """But for what float32 rounds, which Adam and the kinks of ReLUs make larger; below is the same in float64."""
    recipe = make(pictures)
    one, two = trained(recipe, Run(tmp_path / "one")), trained(recipe, Run(tmp_path / "two"), company)
    assert len(one.log("train")) == recipe.budget.steps
    for here, there in zip(two.log("train"), one.log("train"), strict=True):
        assert here["mean"] == pytest.approx(there["mean"], rel=1e-2), here["step"]
    assert two.log("train")[0]["mean"] == pytest.approx(one.log("train")[0]["mean"], rel=1e-5)
    assert two.environment()["machine"]["processes"] == 2
    assert "processes" not in one.environment()["machine"]


@dataclass(frozen=True)
class Threads(Processes):
    """Stand for processes: their sums are taken when all threads have come."""

    meeting: threading.Barrier | None = None
    brought: list[Tensor] = field(default_factory=list)

    def add(self, tensor: Tensor) -> Tensor:
        assert self.meeting is not None
        self.meeting.wait(60)
        self.brought[self.rank] = tensor.clone()
        self.meeting.wait(60)
        return tensor.copy_(torch.stack(self.brought).sum(0))


def in_threads(count: int, work: Callable[[Processes], object]) -> list[Any]:
    """What each of so many threads gives that share batches."""
    meeting, brought = threading.Barrier(count), [torch.zeros(())] * count

    def one(rank: int) -> object:
        try:
            return work(Threads(rank, count, None, meeting, brought))
        except BaseException:
            meeting.abort()
            raise

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.parametrize("make", RECIPES[:-1])
def test_in_float64_gradients_and_losses_are_those_of_one_process(make, pictures: Path, monkeypatch) -> None:
    recipe, machine, steps = make(pictures), Machine.choose(Engine(), "cpu"), 3 if make is normed_gan else 20
    nets = initialise(recipe).double()
    for number, parameter in enumerate(nets.parameters()):  # some begin as zeros
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator(1, number)).double()
    draws = TrainStep(recipe, State(0, nets, {}), machine, tiny.patterns(recipe.data))
    batches: list[dict[str, Tensor]] = []
    for draws.state.step in range(steps):
        whole = draws.batch()
        batches.append({name: each.double() if each.is_floating_point() else each for name, each in whole.items()})
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # by which sums and losses leave bfloat16

    def learnt(processes: Processes) -> tuple[list[Tensor], list[dict[str, float]], list[Tensor]]:
        """First gradients, as Adam remembers them; the metrics of each step; buffers at the end."""
        state = State.start(recipe, copy.deepcopy(nets), machine)
        take_step = make_optimiser_step(recipe, state, machine, recipe.annealed, processes=processes)
        gradients: list[Tensor] = []
        metrics: list[dict[str, float]] = []
        for whole in batches:
            batch = {n: each if n in draws.of_split else processes.share(each) for n, each in whole.items()}
            metrics.append({name: float(value) for name, value in take_step(batch).items()})
            if not gradients:
                for optimiser in state.optimisers.values():
                    moments = [each["exp_avg"].flatten() for each in optimiser.state.values()]
                    gradients.append(torch.cat(moments).clone())
        return gradients, metrics, [each for each in state.nets.buffers() if each.is_floating_point()]

    expected = learnt(ALONE)
    for found in in_threads(2, learnt):
        for here, there in zip(found[0], expected[0], strict=True):
            assert there.norm() > 0
            assert (here - there).norm() < 1e-9 * there.norm()
        assert found[1] == [pytest.approx(there, rel=1e-5, abs=1e-9) for there in expected[1]]
        for here, there in zip(found[2], expected[2], strict=True):
            assert torch.allclose(here, there, rtol=1e-5)


def test_a_run_goes_on_bitwise_with_as_many_processes_and_with_another_number(
    company: Processes, pictures: Path, tmp_path: Path
) -> None:
    recipe = located(tiny.classifier(pictures), None)
    whole = trained(recipe, Run(tmp_path / "whole"), company)
    with pytest.raises(Stopped):
        trained(recipe, Run(tmp_path / "stopped"), company, watch=lambda step, _: step == 6)
    shutil.copytree(tmp_path / "stopped", tmp_path / "alone")
    file = tmp_path / "tiny.toml"
    file.write_text(tiny.toml(recipe.to_json()))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [
        "-m",
        "--",
        "shoestring",
        "train",
        str(file),
        "--run",
        str(tmp_path / "stopped"),
        "--device",
        "cpu",
        "--json",
    ]
    done = subprocess.run([*launcher, *words], capture_output=True, text=True, timeout=120, env=os.environ | PATH)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"finished": true') == 1  # only the first process says so
    weights = Run(tmp_path / "stopped").read_weights()
    assert {name: torch.equal(weights[name], each) for name, each in whole.read_weights().items()} == dict.fromkeys(
        weights, True
    )
    alone = trained(recipe, Run(tmp_path / "alone")).read_weights()
    for name, each in whole.read_weights().items():
        assert torch.allclose(alone[name], each, rtol=1e-2, atol=1e-2), name


HEARD = signal.SIGINT if signal.getsignal(signal.SIGINT) != signal.SIG_IGN else signal.SIGTERM  # as of a job of nohup
PATH = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}


def children(process: int) -> list[int]:
    """The processes that a process started (Linux)."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    return [int(number) for number in listed.read_text().split()] if listed.exists() else []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes as Linux lists them")
@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_processes_end_together(how: str, pictures: Path, tmp_path: Path) -> None:
    run, file = Run(tmp_path / "run"), tmp_path / "endless.toml"
    endless = {"cadence__evaluate": 10**6, "cadence__checkpoint": 3, "cadence__log": 3, "budget__steps": 10**6}
    file.write_text(tiny.toml(tiny.classifier(pictures, engine__processes=2, **endless).to_json()))
    command = [sys.executable, "-c", PROGRAM, "train", str(file), "--run", str(run.folder), "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | PATH) as process:
        while process.poll() is None and not run.checkpoints.last():
            time.sleep(0.05)
        others = children(process.pid)
        assert len(others) == 1
        os.kill(*(others[0], signal.SIGKILL) if how == "killed" else (process.pid, HEARD))
        _, said = process.communicate(timeout=60)
    saved = run.checkpoints.last()
    assert saved is not None
    if how == "killed":
        assert process.returncode == 1
        assert "process 2 of 2 died by signal 9 (SIGKILL), after step" in said
        assert "the same command again goes on from" in said
    else:
        assert process.returncode == 128 + HEARD
        assert f"after step {run.log('train')[-1]['step']:,}; everything is saved" in said
        assert saved.name.startswith(f"step-{run.log('train')[-1]['step']:08d}")
    assert "Traceback" not in said
    assert not Path(f"/proc/{others[0]}").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 7}, "cannot share 7 images a step evenly"),
        ({"engine__compile": True}, "engine.compile is for one process"),
        ({"engine__processes": 4, "batch_size": 4, "task__r1": 1, "task__penalty_fraction": 0.5}, "2 and 2 images"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_is_written(changes, message, pictures, tmp_path) -> None:
    make = tiny.gan if "task__r1" in changes else tiny.classifier
    run = Run(tmp_path / "run")
    with pytest.raises(RecipeError, match=message):
        trained(make(pictures, **{"engine__processes": 2} | changes), run)
    assert not run.folder.exists()


def test_a_loss_of_ones_own_must_be_one_for_each_image(pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "my_loss.py"
    file.write_text("def squares(logits, labels):\n    return logits.square().mean()\n")
    task: Any = tiny.classifier(pictures, task={"kind": f"{file}:squares"}).task
    logits, labels = torch.ones(4, 3), torch.zeros(4, dtype=torch.int64)
    assert task.each(logits, labels) == 1
    with shared_by(Processes(0, 2)), pytest.raises(RecipeError, match="give a loss for each"):
        task.each(logits, labels)


def test_shares_are_every_nth_image_and_weights_make_means_whole() -> None:
    values = torch.arange(10.0).square()
    parts = [Processes(rank, 3) for rank in range(3)]
    assert [part.share(values[:9]).tolist() for part in parts] == [[0, 9, 36], [1, 16, 49], [4, 25, 64]]
    of = 9
    for part in (range(4), range(4, 9), range(9)):
        here = [each.share(values[:of]) for each in parts]
        rows = [slice(each.share_of(part.start), each.share_of(part.stop)) for each in parts]
        means = [each.weight(part, of) * some[row].mean() for each, some, row in zip(parts, here, rows, strict=True)]
        assert torch.stack(means).mean() == pytest.approx(values[part.start : part.stop].mean())
    assert Processes().weight(range(3), 7) == 1.0
