import math

import pytest
import torch

from shoestring.optim.lr_schedule import Constant, OneCycle, StepDecay, WarmupStableDecay


def curve(schedule, steps: int) -> list[float]:
    return [schedule.factor(step, steps) for step in range(steps)]


def test_constant_is_one() -> None:
    assert curve(Constant(), 5) == [1.0] * 5


def test_step_decay_is_the_power_of_whole_periods() -> None:
    schedule = StepDecay(decay=0.95, every=1000)
    assert [schedule.factor(step, 50_000) for step in (0, 999, 1000, 1999, 2000)] == [1, 1, 0.95, 0.95, 0.95**2]
    assert schedule.factor(49_999, 50_000) == pytest.approx(0.0809947, rel=1e-5)  # 0.95^49


@pytest.mark.parametrize(("steps", "warmup"), [(10, 0.3), (101, 0.25), (50, 0.5)])
def test_one_cycle_is_that_of_torch(steps: int, warmup: float) -> None:
    peak, start, end = 0.004, 0.25, 2.5e-5
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    # torch's warm-up ends at pct * steps - 1; ours at the fraction of the last step. Give torch the same peak.
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=peak,
        total_steps=steps,
        pct_start=(warmup * (steps - 1) + 1) / steps,
        div_factor=1 / start,
        final_div_factor=start / end,
    )
    expected: list[float] = []
    for _ in range(steps):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if len(expected) < steps:
            theirs.step()
    ours = [peak * factor for factor in curve(OneCycle(start=start, end=end, warmup=warmup), steps)]
    assert ours == pytest.approx(expected, rel=1e-6)


def test_one_cycle_of_the_paper_runs_between_its_rates() -> None:
    rates = [0.004 * factor for factor in curve(OneCycle(start=0.25, end=2.5e-5), 10_000)]
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == pytest.approx(0.004)
    assert rates.index(max(rates)) == 3000
    assert rates[-1] == pytest.approx(1e-7)


def test_one_cycle_at_its_edges() -> None:
    assert curve(OneCycle(start=0.1, end=0.2, warmup=0), 3) == pytest.approx([1.0, 0.6, 0.2])
    assert curve(OneCycle(start=0.1, end=0.2, warmup=1), 3) == pytest.approx([0.1, 0.55, 0.2])
    assert math.isfinite(OneCycle().factor(0, 1))


def test_wsd_rises_stays_and_falls_along_lines() -> None:
    found = curve(WarmupStableDecay(warmup=0.2, cooldown=0.4), 10)
    assert found == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert curve(WarmupStableDecay(warmup=0, cooldown=0), 4) == [1, 1, 1, 1]


@pytest.mark.parametrize("wrong", [{"warmup": 1.1}, {"warmup": -0.1}])
def test_fractions_are_fractions(wrong: dict[str, float]) -> None:
    for kind in (OneCycle, WarmupStableDecay):
        with pytest.raises(ValueError, match="warmup"):
            kind(**wrong)
