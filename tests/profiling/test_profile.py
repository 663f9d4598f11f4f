import json
import time

import pytest
import tiny
import torch
from torch.utils.flop_counter import FlopCounterMode

from shoestring.core.device import Engine, Machine
from shoestring.core.errors import OverBudgetError
from shoestring.core.progress import Progress
from shoestring.model.build import build
from shoestring.model.generator import Generator
from shoestring.profiling import profile as speed
from shoestring.profiling import roofline as limits
from shoestring.recipes.papers import addnist_effnet, cifar100_dcgan_64, cifar100_resnet
from shoestring.tasks.classification import Classify


@pytest.fixture
def cpu() -> Machine:
    return Machine.choose(Engine(), "cpu")


def test_operations_of_a_gan_step_are_those_that_run(cpu: Machine) -> None:
    # torch counts what a real step does, forwards and backwards; there is no depthwise convolution here to overcount.
    recipe = tiny.changed(cifar100_dcgan_64(), {"batch_size": 4})
    once = speed.warm_step(recipe, cpu)
    with FlopCounterMode(display=False) as counter:
        once()
    assert limits.operations(recipe, build(recipe)) == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_operations_of_a_classifier_are_six_for_each_multiply_add(cpu: Machine) -> None:
    recipe = tiny.changed(cifar100_resnet(), {"batch_size": 2})
    multiply_adds = sum(layer.multiply_adds for layer in build(recipe).layers)
    assert limits.operations(recipe, build(recipe)) == 2 * 3 * 2 * multiply_adds
    once = speed.warm_step(recipe, cpu)
    with FlopCounterMode(display=False) as counter:
        once()
    assert 6 * 2 * multiply_adds == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_steps_are_timed_one_by_one_and_part_by_part(pictures, monkeypatch) -> None:
    loss = Classify.loss

    def slow(self, phase, nets, batch):
        time.sleep(0.05)
        return loss(self, phase, nets, batch)

    monkeypatch.setattr(Classify, "loss", slow)
    found = speed.profile_step(tiny.classifier(pictures), "cpu", 4, Progress())
    assert len(found.seconds) == 4
    assert 0.05 <= found.median < 0.5
    assert set(found.parts) == set(speed.PARTS)
    assert found.parts["forward"] >= 0.05 > found.parts["optimiser"] > 0
    assert found.parts["data"] > 0
    assert found.parts["ema"] > 0


def test_figures_follow_from_the_median() -> None:
    facts = speed.StepProfile(
        {}, 10, (0.1, 0.2, 0.9), {"data": 0.05}, 4 * 10**9, 1e11, 10**8, 3 * 10**8, 1e10, 1000
    ).to_json()
    assert facts["milliseconds"] == 200
    assert (facts["fastest_milliseconds"], facts["slowest_milliseconds"]) == (100, 900)
    assert facts["images_per_second"] == pytest.approx(50)
    assert facts["gigaflop_per_second"] == pytest.approx(20)
    assert facts["fraction_of_ceiling"] == pytest.approx(0.2)
    assert facts["budget_seconds"] == pytest.approx(200)
    assert facts["parts_milliseconds"] == {"data": 50}
    assert facts["moved_megabytes"] == pytest.approx(400)
    assert facts["least_milliseconds"] == pytest.approx(40 + 30)  # arithmetic exceeds the products' own memory
    slow_memory = speed.StepProfile({}, 10, (0.1,), {}, 4 * 10**9, 1e11, 10**8, 3 * 10**8, 1e9, 1000)
    assert slow_memory.least == pytest.approx(0.1 + 0.3)
    json.dumps(facts)


def test_generators_are_timed_at_making_images_as_well(pictures, monkeypatch) -> None:
    sizes = []

    def slow(self, count, seed, progress):
        sizes.append(count)
        time.sleep(0.001 * count)

    monkeypatch.setattr(Generator, "sample", slow)
    monkeypatch.setattr(speed, "LONG_ENOUGH", 0.3)
    facts = speed.profile_step(tiny.gan(pictures), "cpu", 1, Progress()).to_json()
    assert sizes == [100, 400]
    assert 1 <= facts["image_milliseconds"] < 1.5
    assert facts["nfe"] == 1
    assert "image_milliseconds" not in speed.profile_step(tiny.classifier(pictures), "cpu", 1, Progress()).to_json()
    assert sizes == [100, 400]


def test_timing_costs_no_budget_and_needs_none_left(pictures) -> None:
    recipe = tiny.classifier(pictures, budget__steps=2)
    assert len(speed.profile_step(recipe, "cpu", 5, Progress()).seconds) == 5
    with pytest.raises(OverBudgetError):
        speed.profile_step(tiny.classifier(pictures, budget__parameters=10), "cpu", 5, Progress())


def test_timing_leaves_random_numbers_alone(pictures) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    speed.profile_step(tiny.gan(pictures), "cpu", 1, Progress())
    assert torch.equal(torch.rand(3), expected)


def test_noise_has_the_shape_and_classes_of_the_data() -> None:
    images = speed.synthetic_batch(addnist_effnet())
    assert images.images.shape[1:] == (3, 28, 28)
    assert (int(images.labels.min()), int(images.labels.max())) == (0, 19)
    assert abs(float(images.images.float().mean()) - 127.5) < 1


def test_a_matrix_product_takes_the_time_that_its_rate_says(cpu: Machine) -> None:
    rate = limits.matrix_product_rate(cpu)
    a = torch.randn(1536, 1536)
    start = time.perf_counter()
    for _ in range(3):
        torch.mm(a, a)
    seconds = (time.perf_counter() - start) / 3
    assert 2 * 1536**3 / rate <= seconds * 1.5


def test_operators_move_what_they_read_and_write() -> None:
    a, b = torch.zeros(10, 10), torch.zeros(10, 10)
    with limits.Traffic() as counter:
        c = a + b
        c.view(100).add_(1)  # a view is free; in place is read and written
        a @ b
    assert counter.others == 3 * 400 + 2 * 400
    assert counter.products == 3 * 400


def test_a_step_moves_at_least_its_activations_twice(cpu: Machine) -> None:
    small, large = (speed.traffic(tiny.changed(cifar100_resnet(), {"batch_size": n}), cpu) for n in (2, 4))
    stem = 2 * 32 * 32 * 32 * 4  # bytes of the stem's output for two images
    assert large.products - small.products > 2 * stem
    assert large.others - small.others > 10 * stem  # batch norm, SiLU, additions


def test_a_recipe_of_several_processes_is_timed_with_them(pictures, monkeypatch) -> None:
    timed: list[int] = []

    def step_seconds(recipe, machine, steps, advance):
        timed.append(machine.processes)
        return [0.1] * steps

    monkeypatch.setattr(speed, "step_seconds", step_seconds)
    found = speed.profile_step(tiny.classifier(pictures, engine__processes=2), "cpu", 2, Progress())
    assert timed == [2]
    assert found.machine["processes"] == 2
