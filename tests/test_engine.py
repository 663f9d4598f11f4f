import pytest
import torch
from torch import nn

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
