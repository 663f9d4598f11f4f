"""Whether a training step fits into the memory that is free: known from two steps of a few images, before the start."""

import os
import weakref
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from shoestring.core.device import Machine
from shoestring.core.errors import RecipeError
from shoestring.data.dataset import Images
from shoestring.model.build import initialise
from shoestring.model.train_state import State
from shoestring.recipes.recipe import Recipe
from shoestring.training.step import TrainStep

FEW = 8  # images of the first practice step; the second takes twice as many, and what it needs more is theirs
SURE = 1.2  # so many times what is free must be needed to refuse: both numbers are estimates
CACHED = ("active_file", "inactive_file")  # of a control group, counted as used but given up when needed
PEAK = 2.0  # a step whose estimate is less than what is free by this factor fits: of shipped recipes, 1.06 to 1.67


def require_memory(recipe: Recipe, machine: Machine, images: Images) -> None:
    """Does nothing where a step may fit into the memory that is free, or nobody knows how much that is.

    Args:
        recipe: What is to be trained. A batch that is no larger than those of the practice is not looked at.
        machine: Where.
        images: The training split, which a GPU will hold.

    Raises:
        RecipeError: Even the least that a step needs is more than there is; names a batch that surely fits.
    """
    free = free_bytes(machine.device)
    if free is None or recipe.batch_size <= 2 * FEW:
        return
    fixed, each = step_bytes(recipe, machine, images)
    if machine.device.type == "cpu":  # whose memory the processes that share the step also share
        fixed, sharing = fixed * machine.processes + images.images.nbytes * (machine.processes - 1), 1
    else:
        sharing = machine.processes
    need = fixed + each * recipe.batch_size / sharing
    if need <= SURE * free:
        return
    fitting = int((free / PEAK - fixed) / each) * sharing
    remedy = f"--batch-size {fitting} fits" if fitting > 0 else "take a smaller net"
    raise RecipeError(
        f"a step of {recipe.batch_size:,} images needs {need / 1e9:,.1f} GB of memory or more, "
        f"but {free / 1e9:,.1f} GB are free on {machine.device}; {remedy}"
    )


def step_bytes(recipe: Recipe, machine: Machine, images: Images) -> tuple[int, float]:
    """The least that a training step needs at once, in bytes: of whatever size its batch is, and for each image of it.

    That is nets, gradients, optimisers, EMA weights and what the forward pass keeps for the backward pass; not what
    either needs for a moment. The images of the data set count where they are moved to a GPU.
    """
    fixed, some = _warm_step(recipe, machine, images, FEW)
    _, twice = _warm_step(recipe, machine, images, 2 * FEW)
    moved = images.images.nbytes if machine.device.type != "cpu" else 0
    return fixed + moved, max(twice - some, 1) / FEW


def _warm_step(recipe: Recipe, machine: Machine, images: Images, count: int) -> tuple[int, int]:
    """Bytes of a state with its gradients, and of what the hungriest phase keeps, after a step of so many images."""
    small = Recipe.from_json(recipe.to_json() | {"batch_size": count})
    state = State.start(small, initialise(small), machine)
    kept: weakref.WeakSet[_Kept] = weakref.WeakSet()
    most = 0

    def keep(tensor: Tensor) -> _Kept:
        kept.add(one := _Kept(tensor))
        return one

    def hook(part: str) -> None:
        nonlocal most
        if part == "forward":
            most = max(most, _storage_bytes(one.tensor for one in kept))

    take_step = TrainStep(small, state, replace(machine, graphs=False, compile=False), images, hook)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one.tensor):
        take_step()
    gradients = sum(p.grad.nbytes for p in state.nets.parameters() if p.grad is not None)
    return state.nbytes() + gradients, most


class _Kept:
    """Lives as long as autograd keeps its tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _storage_bytes(tensors: Iterable[Tensor]) -> int:
    storages = (tensor.untyped_storage() for tensor in tensors)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def free_bytes(device: torch.device, root: Path = Path("/")) -> int | None:
    """Memory that a process can still get on a device, in bytes; None where there is no way to know.

    On a CPU what Linux calls available, and swap, or what is left below the limit of a control group (a container).

    Args:
        device: Where tensors are to lie.
        root: Where /proc and /sys are.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        known = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}
        available, swap = known["MemAvailable"], known.get("SwapFree", 0)
    except (OSError, ValueError, LookupError):
        return None
    return min([available, *_left_in_groups(root)]) + swap if device.type == "cpu" else None


def _left_in_groups(root: Path) -> list[int]:
    """What each limit leaves of the control groups that this process is in; cached files give way to it."""
    left: list[int] = []
    for group in _groups(root):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            try:
                stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
                files = sum(int(stat.get(f"total_{kind}", stat.get(kind, 0))) for kind in CACHED)
                least, now = (int((group / name).read_text(encoding="ascii")) for name in (limit, used))
            except (OSError, ValueError):  # no such file, or "max"
                continue
            left.append(least - now + files)
    return left


def _groups(root: Path) -> list[Path]:
    """Folders of the control groups that this process is in and of those around them."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found: list[Path] = []
    for line in lines:  # such as "4:memory:/jobs/7" in version 1, "0::/jobs/7" in version 2
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):
            top = root / "sys/fs/cgroup" / kinds
            inner = top / path.strip(os.sep)
            found += [
                folder for folder in (inner, *inner.parents) if folder.is_relative_to(top)
            ]  # in a container, `top`
    return found
