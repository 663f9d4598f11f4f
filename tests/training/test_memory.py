import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.device import Machine
from shoestring.core.errors import RecipeError
from shoestring.core.progress import Progress
from shoestring.profiling import profile as speed
from shoestring.training import memory
from shoestring.training.memory import free_bytes

CPU = torch.device("cpu")

PEAK = """
import sys
from pathlib import Path
import shoestring
from shoestring.core.device import Machine
from shoestring.model.build import initialise
from shoestring.training.memory import step_bytes
from shoestring.profiling.profile import synthetic_batch
from shoestring.model.train_state import State
from shoestring.training.step import TrainStep

def highest():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

recipe = shoestring.recipe(sys.argv[1], batch_size=int(sys.argv[2]), engine={"precision": "float32"})
machine, images = Machine.choose(recipe.engine, "cpu"), synthetic_batch(recipe)
fixed, each = step_bytes(recipe, machine, images)
before = highest()
TrainStep(recipe, State.start(recipe, initialise(recipe), machine), machine, images)()
print((highest() - before) / (fixed + each * recipe.batch_size))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("name", "batch"), [("addnist-best-small", 1024), ("cifar100-gan-best", 128)])
def test_a_step_needs_about_its_estimate_and_less_than_twice_as_much(name: str, batch: int) -> None:
    done = subprocess.run([sys.executable, "-c", PEAK, name, str(batch)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert 0.9 < float(done.stdout) < memory.PEAK  # 0.94 to 1.16 were seen


def test_a_batch_that_cannot_fit_is_refused_with_one_that_does(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 20_000_000)
    greedy = tiny.classifier(pictures, batch_size=100_000, cadence__checkpoint=12, budget__steps=1)
    with pytest.raises(RecipeError, match=r"100,000 images needs .* GB .* free on cpu; .* fits") as refused:
        api.train(greedy, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    fitting = int(str(refused.value).split("--batch-size ")[1].split()[0])
    assert 16 < fitting < 100_000
    assert api.train(tiny.changed(greedy, {"batch_size": fitting}), tmp_path / "run", device="cpu").finished()
    with pytest.raises(RecipeError, match="100,000 images needs"):
        speed.profile_step(greedy, "cpu", 1, Progress())
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1_000)
    with pytest.raises(RecipeError, match="take a smaller net"):
        api.train(greedy, tmp_path / "other", device="cpu")
    monkeypatch.setattr(memory, "free_bytes", lambda _: None)
    memory.require_memory(greedy, Machine.choose(greedy.engine, CPU.type), None)  # type: ignore[arg-type]


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemFree:  100 kB\nMemAvailable:  5000 kB\nSwapFree:  7 kB\nHugePages_Total: 0\n"}


def test_what_is_free_is_what_the_system_or_the_tightest_group_leaves(tmp_path: Path) -> None:
    assert free_bytes(CPU, tmp_path) is None  # no Linux
    write(tmp_path, MEMINFO)
    assert free_bytes(CPU, tmp_path) == 5007 * 1024
    assert free_bytes(torch.device("mps"), tmp_path) is None
    stat = "anon 9\ninactive_file 30\nactive_file 12\n"
    group = {
        "proc/self/cgroup": "0::/jobs/7\n",
        "sys/fs/cgroup/jobs/7/memory.max": "max\n",
        "sys/fs/cgroup/jobs/7/memory.current": "900\n",
        "sys/fs/cgroup/jobs/7/memory.stat": stat,
        "sys/fs/cgroup/jobs/memory.max": "2000\n",
        "sys/fs/cgroup/jobs/memory.current": "1500\n",
        "sys/fs/cgroup/jobs/memory.stat": stat,
    }
    write(tmp_path, group)
    assert free_bytes(CPU, tmp_path) == 2000 - 1500 + 42 + 7 * 1024


def test_limits_of_version_1_and_of_a_container_that_does_not_see_its_own_path(tmp_path: Path) -> None:
    group = {
        "proc/self/cgroup": "5:devices:/docker/abc\n4:memory:/docker/abc\n0::/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "3000\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000\n",
        "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 50\ntotal_active_file 5\n",
    }
    write(tmp_path, MEMINFO | group)
    assert free_bytes(CPU, tmp_path) == 3000 - 1000 + 55 + 7 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine_has_memory_left() -> None:
    assert 10**7 < free_bytes(CPU) < 10**14
