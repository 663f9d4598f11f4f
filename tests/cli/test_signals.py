"""Signals to a real process: it saves, says how to go on, and exits as the shell expects."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny

from shoestring.run import Run

PROGRAM = "import sys; from shoestring.cli import main; sys.exit(main())"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_same_command_goes_on(number, status, pictures: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "mine.toml", Run(tmp_path / "run")
    rarely = {"cadence__evaluate": 10**6, "cadence__checkpoint": 10**6}
    recipe = tiny.classifier(pictures, budget__steps=10**6, cadence__log=1, **rarely)  # it will not come to its end
    file.write_text(tiny.toml(recipe.to_json()))
    command = [sys.executable, "-c", PROGRAM, "train", str(file), "--run", str(run.folder), "--json", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while len(run.log("train")) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    step = run.log("train")[-1]["step"]
    assert json.loads(out) == {"finished": False, "step": step}
    assert f"stopped by {number.name} after step {step:,}; everything is saved. The same command again goes on" in err
    assert "Traceback" not in err
    saved = run.last_checkpoint()
    assert saved is not None
    assert saved.name.startswith(f"step-{step:08d}-")
    assert not run.finished()
