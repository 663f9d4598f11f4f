"""Work that threads share item by item."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(device: torch.device, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results of some work for each item, in order; on a processor, by as many threads as torch uses.

    Each of these threads computes on its own; threads that share an operator wait for the slowest at the end of each.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield from pool.map(work, items)
        finally:
            torch.set_num_threads(threads)
