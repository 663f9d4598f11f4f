import pytest
import torch

from shoestring.metrics.generative.path_smoothness import smoothness

torch.set_num_threads(1)


def test_straight_even_lines_have_one():
    ends = torch.randn(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.linspace(0, 1, 8, dtype=torch.float64).view(1, 8, 1, 1, 1)
    found = smoothness(ends[0][:, None] * (1 - weights) + ends[1][:, None] * weights)
    metric = found.metrics["max_over_mean_step"]
    assert metric.value == pytest.approx(1)
    assert metric.n == 5
    assert metric.std < 1e-9
    assert found.lengths.shape == (5, 7)
    assert found.lengths.sum(1).tolist() == pytest.approx((ends[1] - ends[0]).flatten(1).norm(dim=1).tolist())


def test_one_jump_has_as_many_as_there_are_steps_to_take():
    jump = torch.zeros(1, 8, 3, 4, 4, dtype=torch.uint8)
    jump[:, 3:] = 255
    assert smoothness(jump).metrics["max_over_mean_step"].value == pytest.approx(7)


def test_uint8_steps_do_not_wrap_and_known_lengths_are_averaged():
    paths = torch.tensor([[[200], [10], [20]], [[0], [1], [2]]], dtype=torch.uint8)
    found = smoothness(paths)
    assert found.lengths.tolist() == [[190.0, 10.0], [1.0, 1.0]]
    assert found.metrics["max_over_mean_step"].value == pytest.approx((1.9 + 1) / 2)


def test_paths_that_stand_still_are_left_out_and_counted():
    paths = torch.stack([torch.zeros(4, 2), torch.arange(8.0).view(4, 2)])
    metrics = smoothness(paths).metrics
    assert metrics["max_over_mean_step"].value == pytest.approx(1)
    assert metrics["max_over_mean_step"].n == 1
    assert metrics["frac_constant_paths"].value == 0.5
    assert smoothness(torch.zeros(2, 3, 4)).metrics["max_over_mean_step"].value is None


@pytest.mark.parametrize("shape", [(0, 8, 2), (2, 2, 5), (2, 8)])
def test_too_few_paths_steps_or_dimensions_are_refused(shape):
    with pytest.raises(ValueError, match="at least 3 steps"):
        smoothness(torch.zeros(shape))
