"""How fast a recipe trains and makes images on this machine, and where the time goes."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from shoestring.core.device import Machine
from shoestring.core.progress import Progress
from shoestring.core.rng import generator
from shoestring.data.dataset import Images
from shoestring.model.build import build, initialise
from shoestring.model.generator import Generator
from shoestring.model.train_state import State
from shoestring.profiling.roofline import Traffic, copy_rate, matrix_product_rate, operations, synchronise
from shoestring.recipes.recipe import Recipe
from shoestring.training.memory import require_memory
from shoestring.training.sharing import count_of, shared
from shoestring.training.step import ProfilerHook, TrainStep, no_hook

PARTS = ("data", "forward", "backward", "optimiser", "ema")
UNTIMED = 2  # steps that warm up
BLOCK = 20  # steps between two readings of the clock on a GPU, which must not be waited for at every step
FEW_IMAGES, LONG_ENOUGH = 100, 2.0  # images of the smallest sample to time, seconds that a timed sample takes
DATA_SET = 4096  # random images to draw batches from: what is in an image does not change the time it takes


@dataclass(frozen=True)
class StepProfile:
    """What was measured.

    Attributes:
        machine: The engine's choices, and the hardware.
        batch_size: Images per step.
        seconds: Of a step, a value for each step (on a GPU, for each block of steps), data included.
        parts: Seconds of a step by part; launched one by one, so on a GPU their sum exceeds `seconds`.
        operations: Floating-point operations of a step, in convolutions and matrix products.
        ceiling: Floating-point operations per second of a large matrix product in the same precision.
        product_bytes: What convolutions and matrix products of a step read and write.
        other_bytes: What all other operators read and write.
        copy_rate: Bytes per second of a large copy, read and written.
        budget_steps: Steps of the recipe's budget.
        nfe: Net calls for one image.
        image_seconds: For each image of a large sample; None of what makes none.
    """

    machine: dict[str, object]
    batch_size: int
    seconds: tuple[float, ...]
    parts: dict[str, float]
    operations: int
    ceiling: float
    product_bytes: int
    other_bytes: int
    copy_rate: float
    budget_steps: int
    nfe: int = 1
    image_seconds: float | None = None

    @property
    def median(self) -> float:
        """Seconds of the median step."""
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        """Seconds of a step whose operators, one after the other, all run at the machine's limit (its roofline).

        Convolutions and matrix products take as long as their arithmetic or their memory, whichever is more; all other
        operators as long as their memory.
        """
        products = max(self.operations / self.ceiling, self.product_bytes / self.copy_rate)
        return products + self.other_bytes / self.copy_rate

    def to_json(self) -> dict[str, object]:
        """All figures, in the units people use."""
        rate = self.operations / self.median
        making: dict[str, object] = {"image_milliseconds": 1e3 * self.image_seconds} if self.image_seconds else {}
        return making | {
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
            "fraction_of_ceiling": rate / self.ceiling,
            "moved_megabytes": (self.product_bytes + self.other_bytes) / 1e6,
            "copy_gigabytes_per_second": self.copy_rate / 1e9,
            "least_milliseconds": 1e3 * self.least,
            "parts_milliseconds": {part: 1e3 * seconds for part, seconds in self.parts.items()},
            "nfe": self.nfe,
            "budget_steps": self.budget_steps,
            "budget_seconds": self.budget_steps * self.median,
        }


def profile_step(recipe: Recipe, device: str | None, steps: int, progress: Progress) -> StepProfile:
    """The speed of a recipe's training steps, on random images, and of making images with fresh weights.

    Args:
        recipe: What to train; nothing is kept of it.
        device: "cpu", "cuda", …; None takes a GPU when there is one.
        steps: Steps to time, after two that warm up.
        progress: Reports every step.

    Raises:
        OverBudgetError: The nets do not fit the budget.
        RecipeError: A step needs more memory than there is.
    """
    built, machine = build(recipe), Machine.choose(recipe.engine, device)
    require_memory(recipe, machine, synthetic_batch(recipe))
    with machine.running():
        with progress.task("timing steps", 2 * steps, "steps") as advance:
            all_processes = replace(machine, processes=count_of(recipe.engine))
            seconds = step_seconds(recipe, all_processes, steps, advance)
            parts = _part_seconds(recipe, machine, steps, advance)
        moved = traffic(recipe, machine)
        return StepProfile(
            machine=all_processes.describe(),
            batch_size=recipe.batch_size,
            seconds=tuple(seconds),
            parts=parts,
            operations=operations(recipe, built),
            ceiling=matrix_product_rate(machine),
            product_bytes=moved.products,
            other_bytes=moved.others,
            copy_rate=copy_rate(machine),
            budget_steps=recipe.budget.steps,
            nfe=recipe.task.nfe,
            image_seconds=image_seconds(recipe, machine, progress) if recipe.makes_images else None,
        )


def step_seconds(
    recipe: Recipe, machine: Machine, steps: int, advance: Callable[[int], None] = lambda _: None
) -> list[float]:
    """Seconds of each of some steps; on a GPU, means over blocks. Other processes that share them are started."""
    if machine.processes > 1:
        return _shared_step_seconds(recipe, machine, steps)
    take_step = warm_step(recipe, machine)
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


def _shared_step_seconds(recipe: Recipe, machine: Machine, steps: int) -> list[float]:
    whole = UNTIMED + steps
    few = recipe.replace(budget={"steps": whole}, cadence={"checkpoint": whole, "keep": None})
    state, images = State.start(few, initialise(few), machine), synthetic_batch(few)
    seconds: list[float] = []
    with shared(few, state, machine, images) as processes:
        take_step = TrainStep(few, state, machine, images, processes=processes)
        while state.step < whole:
            start = time.perf_counter()
            processes.any(False)
            take_step()
            synchronise(machine)
            seconds.append(time.perf_counter() - start)
        processes.require_alike(state.nets.state_dict())
    return seconds[UNTIMED:]


def image_seconds(recipe: Recipe, machine: Machine, progress: Progress) -> float:
    """Seconds for each image that a recipe's generator makes, in samples that grow until one takes long enough."""
    model = Generator(recipe, machine.place(initialise(recipe)).eval(), machine)
    count = FEW_IMAGES
    while True:
        start = time.perf_counter()
        model.sample(count, 0, progress)
        seconds = time.perf_counter() - start
        if seconds >= LONG_ENOUGH:
            return seconds / count
        count *= 4


def warm_step(recipe: Recipe, machine: Machine, hook: ProfilerHook = no_hook) -> Callable[[], object]:
    """A function that takes one step of a training that nobody keeps, warmed up; its steps cost no budget."""
    state = State.start(recipe, initialise(recipe), machine)
    take_step = TrainStep(recipe, state, machine, synthetic_batch(recipe), hook)

    def once() -> object:
        state.step = 0 if state.step >= recipe.budget.steps else state.step
        return take_step()

    for _ in range(UNTIMED if machine.device.type == "cpu" else BLOCK):
        once()
    synchronise(machine)
    return once


def synthetic_batch(recipe: Recipe) -> Images:
    """Noise of the shape and with the classes of a recipe's data."""
    source = generator(recipe.seed, "speed")
    images = torch.randint(256, (DATA_SET, *recipe.data.shape), dtype=torch.uint8, generator=source)
    labels = torch.randint(len(recipe.data.classes), (DATA_SET,), generator=source)
    return Images(images, labels, "noise")


def traffic(recipe: Recipe, machine: Machine) -> Traffic:
    """What the operators of one step read and write, one by one."""
    take_step = warm_step(recipe, replace(machine, graphs=False, compile=False))
    with Traffic() as counter:
        take_step()
    return counter


def _part_seconds(recipe: Recipe, machine: Machine, steps: int, advance: Callable[[int], None]) -> dict[str, float]:
    """Medians over steps of what each part takes, eagerly."""
    steps_parts: list[dict[str, float]] = [defaultdict(float)]
    last = time.perf_counter()

    def hook(part: str) -> None:
        nonlocal last
        synchronise(machine)
        now = time.perf_counter()
        steps_parts[-1][part] += now - last
        last = now

    take_step = warm_step(recipe, replace(machine, graphs=False), hook)
    steps_parts.clear()
    for _ in range(steps):
        steps_parts.append(defaultdict(float))
        last = time.perf_counter()
        take_step()
        advance(1)
    return {part: statistics.median(parts[part] for parts in steps_parts) for part in PARTS}
