import math

import pytest
import torch
from torch import Tensor

from shoestring.core.errors import RecipeError
from shoestring.tasks.flow.samplers import SOLVERS, ODESampling, euler, guided, karras_times, multistep, uniform_times

MEAN, DEVIATION = 0.4, 0.3


def variance(time: float) -> float:
    return ((1 - time) * DEVIATION) ** 2 + time**2


def gaussian_velocity(x: Tensor, time: float) -> Tensor:
    """Exact velocity of the flow from a standard normal to N(MEAN, DEVIATION^2) on straight paths."""
    image = MEAN + (1 - time) * DEVIATION**2 / variance(time) * (x - (1 - time) * MEAN)
    noise = time / variance(time) * (x - (1 - time) * MEAN)
    return noise - image


def gaussian_flow(x: Tensor, start: float, end: float) -> Tensor:
    """Where the exact flow carries x from one time to another: the standardised value is kept."""
    return (1 - end) * MEAN + (x - (1 - start) * MEAN) * math.sqrt(variance(end) / variance(start))


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("heun", 2), ("multistep", 2)])
def test_solver_converges_with_its_order(name: str, order: int) -> None:
    x = torch.tensor([-1.0, 0.3, 1.5], dtype=torch.float64)
    errors = []
    for steps in (20, 40, 80):
        times = torch.sigmoid(torch.linspace(3, -3, steps + 1, dtype=torch.float64)).tolist()
        found = SOLVERS[name](gaussian_velocity, x, times)
        errors.append((found - gaussian_flow(x, times[0], times[-1])).abs().max().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)
    assert math.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
@pytest.mark.parametrize("grid", ["uniform", "karras"])
def test_exact_velocity_of_a_gaussian_gives_its_moments(solver: str, grid: str) -> None:
    noise = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sampling = ODESampling(solver=solver, grid=grid, steps=100)
    found = sampling.solve(gaussian_velocity, gaussian_velocity, noise)
    error = DEVIATION / math.sqrt(len(noise))
    assert found.mean().item() == pytest.approx(MEAN, abs=4 * error + 0.01)
    assert found.std().item() == pytest.approx(DEVIATION, rel=0.04)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_a_single_image_is_reached_exactly_in_any_number_of_steps(solver: str) -> None:
    image = torch.tensor([0.25, -0.5], dtype=torch.float64)
    found = ODESampling(solver=solver, steps=3).solve(
        lambda x, time: (x - image) / time, lambda x, time: x, torch.tensor([1.0, 2.0], dtype=torch.float64)
    )
    assert found.allclose(image, atol=1e-12)


def test_multistep_extrapolates_the_image_linearly_in_log_signal_over_noise() -> None:
    times = [0.8, 0.6, 0.3]
    images = {0.8: 0.2, 0.6: 0.5}
    start = 1.7
    found = multistep(lambda x, t: (x - images[t]) / t, torch.tensor(start, dtype=torch.float64), times).item()
    first = (0.4 - 0.2 * 0.75) * 0.2 + 0.75 * start
    lengths = [math.log((1 - b) / b) - math.log((1 - a) / a) for a, b in ((0.8, 0.6), (0.6, 0.3))]
    extrapolated = 0.5 + (0.5 - 0.2) * lengths[1] / (2 * lengths[0])
    assert found == pytest.approx((0.7 - 0.4 * 0.5) * extrapolated + 0.5 * first)


def test_uniform_times_fall_in_equal_steps_from_one_to_zero() -> None:
    assert uniform_times(4) == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_karras_times_follow_the_published_formula() -> None:
    times = karras_times(18, 0.002, 80.0, 7.0)
    ratios = [t / (1 - t) for t in times]
    assert len(times) == 19
    assert times[-1] == 0
    assert ratios[0] == pytest.approx(80)
    assert ratios[17] == pytest.approx(0.002)
    middle = (80 ** (1 / 7) + 5 / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    assert ratios[5] == pytest.approx(middle)
    assert karras_times(1, 0.002, 80.0, 7.0) == pytest.approx([80 / 81, 0])


def test_guidance_extrapolates_from_the_guide_through_the_net() -> None:
    net, guide = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    assert guided(net, guide, 1.0).tolist() == [1, 2]
    assert guided(net, guide, 0.0).tolist() == [0, 4]
    assert guided(net, guide, 2.5).tolist() == [2.5, -1]


def test_guidance_acts_inside_its_interval_only_and_costs_a_call_there() -> None:
    sampling = ODESampling(solver="euler", steps=10, guidance=2.0, interval=(0.1, 3.0))
    guiding = []

    def guide(x: Tensor, time: float) -> Tensor:
        guiding.append(time / (1 - time))
        return torch.zeros_like(x)

    found = sampling.solve(lambda x, _: torch.ones_like(x), guide, torch.zeros(1, dtype=torch.float64))
    times = sampling.times()
    inside = [0.1 < t / (1 - t) <= 3 for t in times[:-1]]
    assert 0 < sum(inside) < 10
    assert len(guiding) == sum(inside)
    assert all(0.1 < ratio <= 3 for ratio in guiding)
    steps = zip(times, times[1:], inside, strict=False)
    assert found.item() == pytest.approx(sum((b - a) * (2 if on else 1) for a, b, on in steps))
    assert sampling.nfe == 10 + sum(inside)


@pytest.mark.parametrize(("solver", "calls"), [("euler", 18), ("heun", 35), ("multistep", 18)])
@pytest.mark.parametrize("grid", ["uniform", "karras"])
def test_evaluations_are_the_calls_that_are_made(solver: str, calls: int, grid: str) -> None:
    made = 0

    def count(x: Tensor, time: float) -> Tensor:
        nonlocal made
        made += 1
        return x

    plain = ODESampling(solver=solver, grid=grid)
    plain.solve(count, count, torch.zeros(1))
    assert plain.nfe == made == calls
    assert plain.replace(guidance=1.5).nfe == 2 * calls


def test_euler_steps_add_up() -> None:
    assert euler(lambda x, t: x * t, torch.tensor(2.0), [1.0, 0.5, 0.0]).item() == pytest.approx(0.75)


def test_words_tell_one_way_of_sampling_from_another() -> None:
    assert ODESampling(solver="euler", steps=4, grid="uniform").words == "euler, 4 steps"
    assert ODESampling(solver="heun", steps=18).words == "heun, 18 steps from 80 to 0.002"
    assert ODESampling(steps=9, guidance=2.0).words.endswith(", guidance 2")
    assert ODESampling(steps=9, guidance=2.0, interval=(0.5, 10)).words.endswith(", guidance 2 between 0.5 and 10")


@pytest.mark.parametrize("option", ["span", "interval"])
@pytest.mark.parametrize("ends", [(80.0, 0.02), (1.0, 1.0)])
def test_noise_that_does_not_fall_is_refused_by_the_options_name(option: str, ends: tuple[float, float]) -> None:
    with pytest.raises(RecipeError, match=rf"\b{option}: {ends[0]:g} is not below {ends[1]:g}; give the smaller"):
        ODESampling().replace(**{option: ends})
