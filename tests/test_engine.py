from pathlib import Path

import pytest
import tiny
import torch
from torch import nn

from shoestring import api
from shoestring.engine import Engine, Machine
from shoestring.errors import ShoestringError


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
    before = torch.get_num_threads()
    try:
        machine = Machine.choose(Engine(threads=2), "cpu")
        facts = machine.describe()
        assert (torch.get_num_threads(), facts["threads"]) == (2, 2)
        assert (facts["device"], facts["precision"]) == ("cpu", "float32")
    finally:
        torch.set_num_threads(before)


def test_a_loaded_run_suits_this_machine_and_not_the_one_that_trained_it(pictures: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    asked = {"engine__threads": 1, "engine__precision": "bfloat16", "engine__channels_last": False}
    try:
        run = api.train(tiny.classifier(pictures, **asked), tmp_path / "run", data_folder=tmp_path, device="cpu")
        assert run.read_json("environment.json")["machine"]["precision"] == "bfloat16"
        torch.set_num_threads(2)
        machine = api.load(run.folder, "cpu").machine
        assert torch.get_num_threads() == 2
        assert (machine.dtype, machine.channels_last) == (torch.float32, True)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("asked", "kept"), [("auto", "auto"), ("bfloat16", "auto"), ("float32", "float32")], ids=["auto", "half", "full"]
)
def test_full_precision_is_asked_for_everywhere(asked: str, kept: str) -> None:
    assert Engine(precision=asked, threads=3).elsewhere() == Engine(precision=kept)
    assert Engine(precision=asked, deterministic=True).elsewhere() == Engine(precision=kept, deterministic=True)
