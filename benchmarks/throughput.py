"""How much faster a training step, and a sample, is than in the loop that people write; and what it costs to grow.

Claim: on 2 CPU cores at least 2.5 times for addnist-effnet, 2.3 for cifar100-resnet, 1.9 for cifar100-dcgan-64, 2.2 for
cifar100-dcgan-44, data loading included; 2 times for sampling from a DCGAN.

    python benchmarks/throughput.py [NAME ...] [--rounds 5] [--steps 10] [--only train] [--grow] [--json]
                                    [--precision bfloat16] [--threads 1]

Both sides run in processes of their own, which take turns, round after round: one waits while the other works. A ratio
is that of the medians over rounds, its range is that of the ratios of single rounds. The machine should be idle: a
neighbour who takes one core makes two threads wait for each other, on both sides. The load is printed for that.

With --grow it times our side alone, as batch, width and threads grow. --precision and --threads are those of our side;
people's loop has float32 and all threads.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conditions import conditions

NAMES = ("addnist-effnet", "cifar100-resnet", "cifar100-dcgan-64", "cifar100-dcgan-44")
ENGINE = ("precision", "threads")  # of an engine, what can be asked for
UNTIMED = 5  # steps at the start of a turn: those that the DataLoader's workers prepared while they waited


def main() -> None:
    """Prints a line for each recipe, or everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a turn")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--samples", type=int, default=2000, help="images of a turn of sampling")
    parser.add_argument("--only", choices=("train", "sample"), help="only this")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="of our side; by default the recipe's")
    parser.add_argument("--threads", type=int, help="of our side; by default what torch finds")
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        work(given.side, given.names[0], given.device)
        return
    kind = grown if given.grow else compared
    results = [row for name in given.names for row in kind(name, given)]
    if given.json:
        print(json.dumps(circumstances(given) | {"results": results}, indent=1))


def circumstances(given: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on."""
    words = " ".join(word for word in sys.argv[1:] if word != "--json")
    command = {"command": f"python benchmarks/throughput.py {words}".rstrip()}
    from shoestring.recipes.lookup import recipe

    chosen = conditions(given.device, changed(recipe(given.names[0]).engine, engine(given)))
    return command | chosen | {"rounds": given.rounds, "steps": given.steps}


def engine(given: argparse.Namespace) -> dict[str, Any]:
    """What our side's engine is asked to be, unlike the recipe's."""
    return {key: value for key in ENGINE if (value := getattr(given, key))}


def changed(engine: Any, changes: dict[str, Any]) -> Any:
    """A recipe's engine with those changes that are about engines."""
    return engine.replace(**{key: changes[key] for key in ENGINE if key in changes})


def compared(name: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Training steps of both sides, and sampling where the recipe is a generator."""
    from shoestring.recipes.lookup import recipe

    rows = [versus(name, "train", given, "ms a step", given.steps)] if given.only != "sample" else []
    if recipe(name).task.factory and given.only != "train":
        rows.append(versus(name, "sample", given, "ms an image", given.samples))
    return rows


def versus(name: str, what: str, given: argparse.Namespace, unit: str, amount: int) -> dict[str, Any]:
    """The medians of both sides and their ratio, from turns that alternate."""
    sides = [Side(f"{side}-{what}", name, given.device, engine(given)) for side in ("plain", "ours")]
    try:
        turns = [[side.turn(amount) for side in sides] for _ in range(given.rounds)]
    finally:
        for side in sides:
            side.close()
    plain, ours = (statistics.median(column) for column in zip(*turns, strict=True))
    ratios = [a / b for a, b in turns]
    row = {
        "recipe": name,
        "what": what,
        "unit": unit,
        "plain": round(plain, 2),
        "ours": round(ours, 2),
        "ratio": round(plain / ours, 2),
        "ratios": [round(ratio, 2) for ratio in sorted(ratios)],
        "load": round(os.getloadavg()[0], 1),
    }
    say(
        given,
        f"{name:<18} {what:<6} plain {plain:8.1f}  ours {ours:8.1f} {unit}  ratio {plain / ours:.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}, {given.rounds} rounds)",
    )
    return row


def grown(name: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Our side as one thing grows and the others stay."""
    from shoestring.recipes.lookup import recipe

    usual = recipe(name).batch_size
    cases: list[tuple[str, dict[str, Any]]] = [
        (f"batch {usual * k // 4}", {"batch": usual * k // 4}) for k in (1, 2, 4, 8)
    ]
    cases += [(f"width x {factor}", {"width": factor}) for factor in (0.5, 2.0)]
    cases += [(f"{threads} threads", {"threads": threads}) for threads in range(1, (os.cpu_count() or 1) + 1)]
    rows: list[dict[str, Any]] = []
    for label, changes in cases:
        side = Side("ours-train", name, given.device, engine(given) | changes)
        try:
            milliseconds = statistics.median(side.turn(given.steps) for _ in range(given.rounds))
        finally:
            side.close()
        rows.append({"recipe": name, "case": label, "ms": round(milliseconds, 2)})
        say(given, f"{name:<18} {label:<12} {milliseconds:9.1f} ms a step")
    return rows


def say(given: argparse.Namespace, line: str) -> None:
    """A line of the result; with --json, of the progress."""
    print(line, file=sys.stderr if given.json else sys.stdout, flush=True)


class Side:
    """A process that times turns when told to, and otherwise sleeps."""

    def __init__(self, side: str, name: str, device: str, changes: dict[str, Any] | None = None) -> None:
        words = [sys.executable, str(Path(__file__)), name, "--side", side, "--device", device]
        environment = os.environ | {"SHOESTRING_CHANGES": json.dumps(changes or {})}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._answer()  # it is ready

    def turn(self, amount: int) -> float:
        """Milliseconds for each step or image of one turn."""
        assert self.process.stdin
        self.process.stdin.write(f"{amount}\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def _answer(self) -> float:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a timed process ended; its message is above")
        return float(line)


def work(side: str, name: str, device: str) -> None:
    """Times turns: reads how much to do, writes the milliseconds of one."""
    turn = SIDES[side](name, device)
    turn(2)
    print(0.0, flush=True)
    for line in sys.stdin:
        print(turn(int(line)), flush=True)


def trainer(step: Callable[[], object], wait: Callable[[], None]) -> Callable[[int], float]:
    """Turns of training; a step's mean."""

    def turn(amount: int) -> float:
        for _ in range(UNTIMED if amount > UNTIMED else 0):
            step()
        wait()
        start = time.perf_counter()
        for _ in range(amount):
            step()
        wait()
        return 1e3 * (time.perf_counter() - start) / amount

    return turn


def plain_train(name: str, device: str) -> Callable[[int], float]:
    """The plain loop's training."""
    import plain_loop
    import torch

    from shoestring.profiling.profile import synthetic_batch
    from shoestring.recipes.lookup import recipe

    step = plain_loop.plain_training(recipe(name), synthetic_batch(recipe(name)), torch.device(device))
    return trainer(step, torch.cuda.synchronize if device.startswith("cuda") else lambda: None)


def our_train(name: str, device: str) -> Callable[[int], float]:
    """Our training, with the changes asked for."""
    from shoestring.core.device import Machine
    from shoestring.profiling.profile import warm_step
    from shoestring.profiling.roofline import synchronise
    from shoestring.recipes.lookup import recipe

    ours, changes = recipe(name), asked_changes()
    net = {} if "width" not in changes else wider(ours.net.model_dump(), changes["width"])
    ours = ours.replace(
        batch_size=changes.get("batch", ours.batch_size),
        net=net,
        engine=changed(ours.engine, changes),
        budget={"parameters": 10**9},
    )
    machine = Machine.choose(ours.engine, device)
    with machine.running():
        turn = trainer(warm_step(ours, machine), lambda: synchronise(machine))
    return running(machine, turn)


def asked_changes() -> dict[str, Any]:
    """What this process is to change."""
    return json.loads(os.environ.get("SHOESTRING_CHANGES", "{}"))


def wider(net: dict[str, Any], factor: float) -> dict[str, Any]:
    """The fields of a net that are widths, times a factor."""

    def times(value: Any) -> Any:
        return tuple(map(times, value)) if isinstance(value, tuple | list) else max(1, round(value * factor))

    return {key: times(value) for key, value in net.items() if key in ("stem", "width", "widths", "hidden")}


def plain_sample(name: str, device: str) -> Callable[[int], float]:
    """The plain way to make images."""
    import plain_loop
    import torch

    from shoestring.recipes.lookup import recipe

    make = plain_loop.plain_sampling(recipe(name), torch.device(device))
    return sampler(make)


def our_sample(name: str, device: str) -> Callable[[int], float]:
    """Ours, what `shoestring sample` calls."""
    from shoestring.core.device import Machine
    from shoestring.core.progress import Progress
    from shoestring.model.build import initialise
    from shoestring.model.model import Model
    from shoestring.recipes.lookup import recipe

    ours = recipe(name)
    machine = Machine.choose(changed(ours.engine, asked_changes()), device)
    model = Model(ours, machine.place(initialise(ours)).eval(), machine)
    return running(machine, sampler(lambda count: model.sample(count, 0, Progress())))


def running(machine: Any, turn: Callable[[int], float]) -> Callable[[int], float]:
    """Turns that are timed as the command line works."""
    from shoestring.core.allocator import keep_freed_memory

    keep_freed_memory()

    def inside(amount: int) -> float:
        with machine.running():
            return turn(amount)

    return inside


def sampler(make: Callable[[int], object]) -> Callable[[int], float]:
    """Turns of sampling."""

    def turn(amount: int) -> float:
        start = time.perf_counter()
        make(amount)
        return 1e3 * (time.perf_counter() - start) / amount

    return turn


SIDES = {"plain-train": plain_train, "ours-train": our_train, "plain-sample": plain_sample, "ours-sample": our_sample}


if __name__ == "__main__":
    main()
