"""Sums through memory that processes share: those of all, the same bits in each, and an end where one is gone."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from shoestring.core.shared_memory import ORDERED, PART_BYTES, SharedMemory, made

here_too = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ORDERED, reason="sums go through sockets on this machine"
)
COUNT = 3
LENGTHS = (1, 192, PART_BYTES // 4 + 5, 7) * 100  # the third takes two turns
MEMBER = f"""
import os, sys, torch
from shoestring.core.shared_memory import LostError, SharedMemory
rank = int(sys.argv[2])
memory = SharedMemory(os.open(sys.argv[1], os.O_RDWR), rank, {COUNT})
print("there", flush=True)
sys.stdin.readline()
draw, digest = torch.Generator().manual_seed(rank), torch.zeros(2, dtype=torch.float64)
for length in {LENGTHS}:
    summed = torch.randn(length, generator=draw)
    memory.add(summed)
    digest += torch.stack((summed.double().sum(), summed.double().square().sum()))
flag = torch.tensor(rank == 1)
memory.add(flag)
print(digest.tolist(), flag.item(), flush=True)
if rank:
    try:
        memory.add(torch.ones(3, 2).T)
    except LostError:
        print("lost", flush=True)
"""


@here_too
def test_each_process_has_the_sum_of_all_and_learns_when_one_is_gone() -> None:
    with made(COUNT) as path:
        assert path is not None
        members = [
            subprocess.Popen(
                [sys.executable, "-c", MEMBER, str(path), str(rank)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
            for rank in range(COUNT)
        ]  # fmt: skip
        for member in members:
            assert member.stdout is not None
            assert member.stdout.readline() == "there\n"
    assert not path.exists()
    for member in members:
        assert member.stdin is not None
        member.stdin.write("\n")
        member.stdin.flush()
    said = [member.communicate(timeout=100)[0].splitlines() for member in members]
    draws = [torch.Generator().manual_seed(rank) for rank in range(COUNT)]
    expected = torch.zeros(2, dtype=torch.float64)
    for length in LENGTHS:
        summed = torch.stack([torch.randn(length, generator=draw) for draw in draws]).sum(0).double()
        expected += torch.stack((summed.sum(), summed.square().sum()))
    assert said[0] == [f"{expected.tolist()} True"]
    assert said[1] == said[2] == [*said[0], "lost"]


@here_too
def test_without_room_there_is_no_memory_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(Path("/dev/shm").iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with made(2) as path:
        assert path is None
    assert set(Path("/dev/shm").iterdir()) <= before


@here_too
def test_a_tensor_of_another_layout_is_summed_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with made(1) as path:
        assert path is not None
        memory = SharedMemory(os.open(path, os.O_RDWR), 0, 1)
        tensor = torch.arange(6.0).view(2, 3).T
        memory.add(tensor)
        assert tensor.tolist() == [[0, 3], [1, 4], [2, 5]]
        memory.close()
