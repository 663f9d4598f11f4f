"""How fast a recipe trains on this machine, and where the time goes."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.autograd.graph import saved_tensors_hooks

from shoestring.data.images import Images
from shoestring.engine import Machine
from shoestring.progress import Progress
from shoestring.recipes.recipe import Recipe
from shoestring.rng import generator
from shoestring.training.build import Built, build
from shoestring.training.state import State
from shoestring.training.stepper import Stepper

PARTS = ("data", "forward", "backward", "update", "average")
BLOCK = 20  # steps between two readings of the clock on a GPU, which must not be waited for at every step
DATA_SET = 4096  # random images to draw batches from: what is in an image does not change the time it takes


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes:
        machine: The engine's choices, and the hardware.
        batch_size: Images per step.
        seconds: Of a step, a value for each step (on a GPU, for each block of steps), data included.
        parts: Seconds of a step by part; launched one by one, so on a GPU their sum exceeds `seconds`.
        operations: Floating-point operations of a step, in convolutions and matrix products.
        ceiling: Floating-point operations per second of a large matrix product in the same precision.
        kept_bytes: What the forward passes of a step keep for the backward passes.
        copy_rate: Bytes per second of a large copy, read and written.
        budget_steps: Steps of the recipe's budget.
    """

    machine: dict[str, object]
    batch_size: int
    seconds: tuple[float, ...]
    parts: dict[str, float]
    operations: int
    ceiling: float
    kept_bytes: int
    copy_rate: float
    budget_steps: int

    @property
    def median(self) -> float:
        """Seconds of the median step."""
        return statistics.median(self.seconds)

    def to_json(self) -> dict[str, object]:
        """All figures, in the units people use."""
        rate = self.operations / self.median
        return {
            "machine": self.machine,
            "batch_size": self.batch_size,
            "steps_timed": len(self.seconds),
            "milliseconds": 1e3 * self.median,
            "fastest_milliseconds": 1e3 * min(self.seconds),
            "slowest_milliseconds": 1e3 * max(self.seconds),
            "images_per_second": self.batch_size / self.median,
            "gigaflop": self.operations / 1e9,
            "gigaflop_per_second": rate / 1e9,
            "ceiling_gigaflop_per_second": self.ceiling / 1e9,
            "share_of_ceiling": rate / self.ceiling,
            "kept_megabytes": self.kept_bytes / 1e6,
            "copy_gigabytes_per_second": self.copy_rate / 1e9,
            "least_milliseconds": {
                "arithmetic": 1e3 * self.operations / self.ceiling,
                "memory": 1e3 * 2 * self.kept_bytes / self.copy_rate,
            },
            "parts_milliseconds": {part: 1e3 * seconds for part, seconds in self.parts.items()},
            "budget_steps": self.budget_steps,
            "budget_seconds": self.budget_steps * self.median,
        }


def measure(recipe: Recipe, device: str | None, steps: int, progress: Progress) -> Speed:
    """The speed of a recipe's training steps, on random images.

    Args:
        recipe: What to train; nothing is kept of it.
        device: "cpu", "cuda", …; None takes a GPU when there is one.
        steps: Steps to time, after two that warm up.
        progress: Told of every step.

    Raises:
        OverBudgetError: The nets do not fit the budget.
    """
    built, machine = build(recipe), Machine.choose(recipe.engine, device)
    with progress.task("timing steps", 2 * steps, "steps") as advance:
        seconds = step_seconds(recipe, machine, steps, advance)
        parts = _part_seconds(recipe, machine, steps, advance)
    return Speed(
        machine=machine.describe(),
        batch_size=recipe.batch_size,
        seconds=tuple(seconds),
        parts=parts,
        operations=operations(recipe, built),
        ceiling=matrix_product_rate(machine),
        kept_bytes=kept_bytes(recipe, machine),
        copy_rate=copy_rate(machine),
        budget_steps=recipe.budget.steps,
    )


def step_seconds(
    recipe: Recipe, machine: Machine, steps: int, advance: Callable[[int], None] = lambda _: None
) -> list[float]:
    """Seconds of each of some steps; on a GPU, means over blocks."""
    take_step = practice(recipe, machine)
    block = 1 if machine.device.type == "cpu" else BLOCK
    seconds: list[float] = []
    for _ in range(max(steps // block, 1)):
        start = time.perf_counter()
        for _ in range(block):
            take_step()
        synchronise(machine)
        seconds.append((time.perf_counter() - start) / block)
        advance(block)
    return seconds


def practice(recipe: Recipe, machine: Machine, lap: Callable[[str], None] = lambda _: None) -> Callable[[], object]:
    """A function that takes one step of a training that nobody keeps, warmed up; its steps cost no budget."""
    with torch.random.fork_rng(devices=[]):
        state = State.start(recipe, build(recipe).nets, machine)
    take_step = Stepper(recipe, state, machine, random_images(recipe), lap)

    def once() -> object:
        state.step = 0 if state.step >= recipe.budget.steps else state.step
        return take_step()

    for _ in range(2 if machine.device.type == "cpu" else BLOCK):
        once()
    synchronise(machine)
    return once


def random_images(recipe: Recipe) -> Images:
    """Noise of the shape and with the classes of a recipe's data."""
    source = generator(recipe.seed, "speed")
    images = torch.randint(256, (DATA_SET, *recipe.data.shape), dtype=torch.uint8, generator=source)
    labels = torch.randint(len(recipe.data.classes), (DATA_SET,), generator=source)
    return Images(images, labels, "noise")


def operations(recipe: Recipe, built: Built) -> int:
    """Floating-point operations of one step in convolutions and matrix products, two for each multiply-add.

    Counted forwards, times what the task says of forwards and backwards: torch's own count of the backward pass is too
    high by the number of channels for depthwise convolutions.
    """
    return sum(
        2 * recipe.batch_size * calls * sum(row.multiply_adds for row in built.layers if row.name.split(".")[0] == net)
        for net, calls in recipe.task.work.items()
    )


def matrix_product_rate(machine: Machine) -> float:
    """Floating-point operations per second of a large square matrix product, the best of several."""
    size, tries = (1536, 6) if machine.device.type == "cpu" else (8192, 20)
    source = generator(0, "matrix product")
    a, b = (torch.randn(size, size, generator=source).to(machine.device, machine.dtype) for _ in range(2))
    best = float("inf")
    for _ in range(tries):
        synchronise(machine)
        start = time.perf_counter()
        torch.mm(a, b)
        synchronise(machine)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def kept_bytes(recipe: Recipe, machine: Machine) -> int:
    """Bytes that the forward passes of a step keep for the backward passes: written and read at least once."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    take_step = practice(recipe, replace(machine, graphs=False, compile=False))
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        take_step()
    return sum(kept.values())


def copy_rate(machine: Machine) -> float:
    """Bytes per second of a copy far larger than the caches, read and written, the best of several."""
    size, tries = 2**26 if machine.device.type == "cpu" else 2**30, 6
    source = torch.ones(size // 4, device=machine.device)
    target = torch.zeros_like(source)
    best = float("inf")
    for _ in range(tries):
        synchronise(machine)
        start = time.perf_counter()
        target.copy_(source)
        synchronise(machine)
        best = min(best, time.perf_counter() - start)
    return 2 * size / best


def synchronise(machine: Machine) -> None:
    """Waits until the device has done all that was asked of it."""
    if machine.device.type == "cuda":
        torch.cuda.synchronize(machine.device)


def _part_seconds(recipe: Recipe, machine: Machine, steps: int, advance: Callable[[int], None]) -> dict[str, float]:
    """Medians over steps of what each part takes, eagerly."""
    steps_parts: list[dict[str, float]] = [defaultdict(float)]
    last = time.perf_counter()

    def lap(part: str) -> None:
        nonlocal last
        synchronise(machine)
        now = time.perf_counter()
        steps_parts[-1][part] += now - last
        last = now

    take_step = practice(recipe, replace(machine, graphs=False), lap)
    steps_parts.clear()
    for _ in range(steps):
        steps_parts.append(defaultdict(float))
        last = time.perf_counter()
        take_step()
        advance(1)
    return {part: statistics.median(parts[part] for parts in steps_parts) for part in PARTS}
