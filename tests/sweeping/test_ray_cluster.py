"""A real Ray cluster of this machine, one of whose workers is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny

from shoestring import api
from shoestring.core.errors import ShoestringError
from shoestring.core.run import Run
from shoestring.sweeping import ray_cluster

PROGRAM = """
import json, sys
from pathlib import Path
from shoestring import api
from shoestring.core.progress import Progress
class Heard(Progress):
    def say(self, message): print(message, file=sys.stderr)
found = api.sweep(Path(sys.argv[1]), sys.argv[2], launcher="ray", device="cpu", progress=Heard())
print(json.dumps(found, default=str))
"""


def test_without_ray_it_says_what_to_install(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    with pytest.raises(ShoestringError, match=r"--launcher ray needs Ray: pip install 'shoestring\[ray\]'"):
        api.sweep(tiny.classifier(pictures), tmp_path / "out", grid={"batch_size": [4, 8]}, launcher="ray")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("address", "said"),
    [(None, "Ray did not start here (it took too long)"), ("far:1", "--ray-address far:1: no Ray cluster is reached")],
)
def test_a_cluster_that_is_not_reached_is_one_line(address, said):
    class NoRay:
        def init(self, **options):
            raise Exception("it took too long\nto start")

    with pytest.raises(ShoestringError, match=re.escape(said)):
        ray_cluster._connect(NoRay(), address)


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_cluster_trains_all_and_goes_on_when_a_worker_is_killed(pictures, tmp_path):
    file, out = tmp_path / "mine.toml", tmp_path / "out"
    recipe = tiny.classifier(pictures, budget__steps=40, ema=[], cadence__checkpoint=5)
    table = "[sweep]\nconfirm = 0\n[sweep.grid]\nbatch_size = [4, 8]\n"
    file.write_text(tiny.toml(recipe.to_json()) + table)
    command = [sys.executable, "-c", PROGRAM, str(file), str(out)]
    # Ray's workers are as nice as can be, and starve where every core is busy.
    environment = os.environ | {"RAY_worker_niceness": "0"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            os.kill(_in_the_middle(out, process)["pid"], signal.SIGKILL)
            shown, said = process.communicate(timeout=240)
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert "a worker of the cluster died" in said
    found = json.loads(shown)
    assert [point["state"] for point in found["points"]] == ["finished", "finished"]
    for point in found["points"]:  # the bits of trainings that nobody killed
        alone = recipe.replace(batch_size=point["fields"]["batch_size"])
        run = api.train(alone, tmp_path / f"alone-{point['number']}", device="cpu")
        assert Run(out / point["trainings"][0]["run"]).weights_file.read_bytes() == run.weights_file.read_bytes()


def _in_the_middle(out: Path, process: subprocess.Popen) -> dict:
    """The claim of a training that has a checkpoint."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        for checkpoint in out.glob("runs/*/checkpoints/*.pt"):
            for claim in out.glob(f"claims/{checkpoint.parents[1].name}.*"):
                try:
                    return json.loads(claim.read_text())
                except (OSError, ValueError):
                    continue
        time.sleep(0.01)
    raise AssertionError("no training was seen in its middle")
