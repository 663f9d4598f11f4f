import threading

import pytest
import torch

from shoestring.core.parallel import each


def test_each_item_is_worked_on_by_a_thread_of_its_own_and_results_stay_in_order() -> None:
    before = torch.get_num_threads()
    cpu = torch.device("cpu")
    together = threading.Barrier(2, timeout=30)  # passed only by two threads at once

    def work(item: int) -> tuple[int, int]:
        together.wait()
        return item, torch.get_num_threads()

    try:
        torch.set_num_threads(2)
        assert list(each(cpu, work, range(6))) == [(item, 1) for item in range(6)]
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        assert list(each(cpu, lambda _: threading.current_thread(), range(2))) == 2 * [threading.current_thread()]
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(ZeroDivisionError):
            list(each(torch.device("cpu"), lambda item: 1 // item, [1, 0]))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
