"""Signals to a real process: it saves, says how to go on, and exits as the shell expects."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tiny

from shoestring import api
from shoestring.core.run import Run

PROGRAM = "import sys; from shoestring.cli import main; sys.exit(main())"


def endless(pictures: Path, run: Run) -> list[str]:
    """The words of a training that will not come to its end."""
    file = run.folder.with_suffix(".toml")
    rarely = {"cadence__evaluate": 10**6, "cadence__checkpoint": 10**6}
    file.write_text(tiny.toml(tiny.classifier(pictures, budget__steps=10**6, cadence__log=1, **rarely).to_json()))
    return ["train", str(file), "--run", str(run.folder), "--device", "cpu"]


def wait_for_steps(run: Run, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while len(run.log("train")) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_same_command_goes_on(number, status, pictures: Path, tmp_path: Path) -> None:
    tiny.require_heard(number)
    run = Run(tmp_path / "run")
    command = [sys.executable, "-c", PROGRAM, *endless(pictures, run), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_steps(run, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    step = run.log("train")[-1]["step"]
    assert json.loads(out) == {"finished": False, "step": step}
    assert f"stopped by {number.name} after step {step:,}; everything is saved. The same command again goes on" in err
    assert "Traceback" not in err
    saved = run.checkpoints.last()
    assert saved is not None
    assert saved.name.startswith(f"step-{step:08d}-")
    assert not run.finished()


TERMINAL = f"""
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # its closing ends the processes of this session
{PROGRAM}
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX terminals")
def test_a_closed_terminal_costs_no_step(pictures: Path, tmp_path: Path) -> None:
    tiny.require_heard(signal.SIGHUP)
    run, (ours, theirs) = Run(tmp_path / "run"), os.openpty()
    command = [sys.executable, "-c", TERMINAL, *endless(pictures, run)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, text=True) as process:
        os.close(theirs)
        wait_for_steps(run, process)
        os.close(ours)
        process.send_signal(signal.SIGHUP)  # the shell sends one as well
        assert process.wait(timeout=60) == 128 + signal.SIGHUP
    saved = run.checkpoints.last()
    assert saved is not None
    assert saved.name.startswith(f"step-{run.log('train')[-1]['step']:08d}-")


HOST = """
import ctypes, signal, sys
from shoestring.training.loop import caught_signals

heard = []
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(heard.append)
ctypes.CDLL(None).signal(signal.SIGINT, handler)
known = signal.getsignal
signal.getsignal = lambda number: None if number == signal.SIGINT else known(number)  # as where C embeds Python
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
with caught_signals() as caught:
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.raise_signal(number)
    assert caught == []
    signal.raise_signal(signal.SIGTERM)
    assert caught == [signal.SIGTERM]
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
signal.raise_signal(signal.SIGINT)
assert heard == [signal.SIGINT, signal.SIGINT], heard
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_handlers_of_a_host_program_and_ignored_signals_are_left_alone() -> None:
    done = subprocess.run([sys.executable, "-c", HOST], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_training_in_another_thread_catches_nothing_and_ends(pictures: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    thread = threading.Thread(target=api.train, args=(tiny.classifier(pictures), run.folder), kwargs={"device": "cpu"})
    thread.start()
    thread.join()
    assert run.finished()
