import os
from pathlib import Path

import pytest
import tiny
import torch
from torch import nn

from shoestring import api
from shoestring.core.device import Engine, Machine
from shoestring.core.errors import ShoestringError
from shoestring.training import loop as loops
from shoestring.training import train as trains


@pytest.mark.parametrize("device", ["cud", "cuda:99", "cpux", ""])
def test_a_device_that_is_not_there_is_refused_by_name(device: str) -> None:
    if device == "":
        assert Machine.choose(Engine(), None).device.type == ("cuda" if torch.cuda.is_available() else "cpu")
        return
    with pytest.raises(ShoestringError, match=f"--device {device}: .*--device cpu"):
        Machine.choose(Engine(), device)


def test_a_processor_computes_in_float32_without_graphs() -> None:
    machine = Machine.choose(Engine(graphs=True), "cpu")
    assert (machine.device.type, machine.dtype, machine.graphs) == ("cpu", torch.float32, False)
    with machine.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_bfloat16_is_of_activations_only() -> None:
    machine = Machine.choose(Engine(precision="bfloat16"), "cpu")
    net = machine.place(nn.ModuleDict({"net": nn.Conv2d(1, 1, 1)}))["net"]
    with machine.autocast():
        assert net(torch.ones(1, 1, 1, 1)).dtype == torch.bfloat16
    assert net.weight.dtype == torch.float32


@pytest.mark.parametrize(("asked", "stored"), [(None, True), (True, True), (False, False)])
def test_memory_format_of_weights(asked: bool | None, stored: bool) -> None:
    machine = Machine.choose(Engine(channels_last=asked), "cpu")
    weight = machine.place(nn.ModuleDict({"net": nn.Conv2d(3, 4, 3)}))["net"].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) is stored
    assert weight.is_contiguous() is not stored


def test_threads_are_set_and_described() -> None:
    machine = Machine.choose(Engine(threads=2), "cpu")
    facts = machine.describe()
    assert (facts["device"], facts["precision"], facts["threads"]) == ("cpu", "float32", 2)
    with machine.running():
        assert torch.get_num_threads() == 2
    assert Machine.choose(Engine(), "cpu").describe()["threads"] == torch.get_num_threads()


def test_a_loaded_run_suits_this_machine_and_not_the_one_that_trained_it(pictures: Path, tmp_path: Path) -> None:
    asked = {"engine__threads": 2, "engine__precision": "bfloat16", "engine__channels_last": False}
    run = api.train(tiny.classifier(pictures, **asked), tmp_path / "run", data_folder=tmp_path, device="cpu")
    trained = run.read_json("environment.json")["machine"]
    assert (trained["precision"], trained["threads"]) == ("bfloat16", 2)
    machine = api.load(run.folder, "cpu").machine
    assert (machine.dtype, machine.channels_last, machine.threads) == (torch.float32, True, None)


@pytest.mark.parametrize(
    ("asked", "kept"), [("auto", "auto"), ("bfloat16", "auto"), ("float32", "float32")], ids=["auto", "half", "full"]
)
def test_full_precision_is_asked_for_everywhere(asked: str, kept: str) -> None:
    assert Engine(precision=asked, threads=3).portable() == Engine(precision=kept)
    assert Engine(precision=asked, deterministic=True).portable() == Engine(precision=kept, deterministic=True)


def settings() -> dict[str, object]:
    """What torch keeps for the whole process."""
    return {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warns": torch.is_deterministic_algorithms_warn_only_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "cudnn": torch.backends.cudnn.deterministic,
        "workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    }


ALL = Engine(threads=2, deterministic=True)
FOREIGN = Machine(torch.device("cuda:1"), torch.float32, channels_last=True, graphs=True, compile=False)


def test_choosing_a_machine_changes_nothing_and_running_it_nothing_that_stays() -> None:
    before = settings()
    machine = Machine.choose(ALL, "cpu")
    assert settings() == before
    inside: list[dict[str, object]] = []

    def work() -> None:
        with machine.running():
            inside.append(settings())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert [(one["threads"], one["deterministic"], one["workspace"]) for one in inside] == [(2, True, ":4096:8")]
    assert settings() == before


def test_a_gpu_works_on_the_device_that_was_named_and_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    current = [0]

    class Device:  # stands for torch.cuda.device where there is no GPU
        def __init__(self, device: torch.device) -> None:
            self.index = device.index

        def __enter__(self) -> None:
            current.append(self.index)

        def __exit__(self, *_: object) -> None:
            current.pop()

    monkeypatch.setattr(torch.cuda, "device", Device)
    before = settings()
    with FOREIGN.running():
        assert current == [0, 1]
        assert torch.backends.cudnn.benchmark
    assert current == [0]
    assert settings() == before


def test_a_training_from_python_leaves_the_process_as_it_was(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[dict[str, object]] = []

    def spied(*given: object) -> None:
        inside.append(settings())
        loops.loop(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(trains, "loop", spied)
    before = settings()
    changes = {"engine__threads": 2, "engine__deterministic": True, "engine__autotune": True}
    run = api.train(tiny.classifier(pictures, **changes), tmp_path / "run", data_folder=tmp_path, device="cpu")
    assert [(one["threads"], one["deterministic"]) for one in inside] == [(2, True)]
    assert settings() == before
    api.load(run.folder, "cpu")
    api.predict(run.folder, next(pictures.rglob("*.png")), device="cpu")
    assert settings() == before
