import pytest
import torch
from torch import Tensor

from shoestring.tasks.gan.diffaugment import DiffAugment, coloured, moved

ALL = DiffAugment(colour=1, translation=0.25, cutout=0.5)


def images(n: int = 3, height: int = 8, width: int = 12) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def draws(n: int, seed: int = 0) -> Tensor:
    return ALL.draw(n, torch.Generator().manual_seed(seed))


def test_all_off_gives_the_very_images() -> None:
    x = images()
    assert not DiffAugment().active
    assert DiffAugment().apply(x, draws(3)) is x


@pytest.mark.parametrize("one", [{"colour": 0.1}, {"translation": 0.1}, {"cutout": 0.1}])
def test_each_change_counts_as_active(one: dict[str, float]) -> None:
    assert DiffAugment(**one).active


def test_draws_in_the_middle_change_no_colour_and_no_place() -> None:
    x = images()
    found = DiffAugment(colour=1, translation=0.25).apply(x, torch.full((3, 7), 0.5))
    assert torch.allclose(found, x, atol=1e-6)


def test_images_are_a_function_of_the_draws_alone_and_each_of_its_own() -> None:
    x = images(4)
    first, again = ALL.apply(x, draws(4)), ALL.apply(x, draws(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, ALL.apply(x, draws(4, seed=1)))
    assert torch.allclose(ALL.apply(x[2:3], draws(4)[2:3])[0], first[2], atol=1e-6)


def test_colours_change_as_zhao_et_al_say() -> None:
    x, uniform = images(2).double(), draws(2).double()
    brightness, saturation, contrast = (uniform[:, i].view(-1, 1, 1, 1) for i in range(3))
    expected = x + (brightness - 0.5)  # rand_brightness
    mean = expected.mean(1, keepdim=True)
    expected = (expected - mean) * (saturation * 2) + mean  # rand_saturation
    mean = expected.mean((1, 2, 3), keepdim=True)
    expected = (expected - mean) * (contrast + 0.5) + mean  # rand_contrast
    assert torch.allclose(DiffAugment(colour=1).apply(x, uniform), expected)
    half = DiffAugment(colour=0.5).apply(x, uniform)
    assert torch.allclose(half, coloured(x, (uniform[:, :3] - 0.5) / 2))
    assert not torch.allclose(half, expected, atol=1e-2)


def test_moved_by_whole_pixels_to_the_right_and_down_with_zeros_from_outside() -> None:
    x = images(3)
    found = moved(x, torch.tensor([2, 0, -1]), torch.tensor([1, -3, 0]))
    expected = torch.zeros_like(x)
    expected[0, :, 1:, 2:] = x[0, :, :-1, :-2]
    expected[1, :, :-3] = x[1, :, 3:]
    expected[2, :, :, :-1] = x[2, :, :, 1:]
    assert torch.equal(found, expected)


def test_moves_are_uniform_over_whole_pixels_within_reach() -> None:
    x = torch.zeros(3000, 1, 8, 12)
    x[:, :, 4, 6] = 1
    found = DiffAugment(translation=0.25).apply(x, draws(3000)).flatten(1).argmax(1)
    down, right = found // 12 - 4, found % 12 - 6
    for move, reach in ((down, 2), (right, 3)):
        count = torch.bincount(move + reach, minlength=2 * reach + 1) / 3000
        assert len(count) == 2 * reach + 1
        assert count.sub(1 / len(count)).abs().max() < 0.03


def test_holes_have_their_size_and_reach_over_the_edge() -> None:
    found = DiffAugment(cutout=0.5).apply(torch.ones(3000, 2, 8, 12), draws(3000))
    assert torch.equal(found[:, 0], found[:, 1])
    cut = found[:, 0] == 0
    rows, columns = cut.any(2), cut.any(1)
    assert torch.equal(cut, rows[:, :, None] & columns[:, None, :])
    assert set(rows.sum(1).tolist()) == {2, 3, 4}  # a centre in 0..8, so that two rows of four are inside at the least
    assert set(columns.sum(1).tolist()) == {3, 4, 5, 6}
    expected = torch.tensor([3, 4, 4, 4, 4, 4, 4, 3]) / 9  # the hole's centre may lie just past the last row
    assert torch.allclose(rows.float().mean(0), expected, atol=0.03)


def test_whole_image_can_be_cut_out_only_from_its_middle() -> None:
    middle, corner = torch.full((1, 7), 0.5), torch.zeros(1, 7)
    assert not DiffAugment(cutout=1).apply(torch.ones(1, 1, 8, 8), middle).any()
    assert DiffAugment(cutout=1).apply(torch.ones(1, 1, 8, 8), corner).sum() == 64 - 16


def test_gradients_flow_to_the_pixels_that_are_seen() -> None:
    x = images(2).requires_grad_()
    spec = DiffAugment(translation=0.25, cutout=0.5)
    found = spec.apply(x, draws(2))
    (slope,) = torch.autograd.grad((found * 3).sum(), x)
    assert set(slope.unique().tolist()) == {0, 3}
    assert slope.count_nonzero() == found.count_nonzero()
    y = images(2).requires_grad_()
    found = DiffAugment(colour=1).apply(y, draws(2))
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
    (slope,) = torch.autograd.grad((found * direction).sum(), y)
    step = 0.5 * torch.sign(slope)  # linear in the image, so any step tells the slope
    there = DiffAugment(colour=1).apply(y.detach() + step, draws(2))
    assert ((there - found.detach()) * direction).sum().item() == pytest.approx((slope * step).sum().item(), rel=1e-3)


def test_moving_rounds_nothing_in_a_coarser_precision() -> None:
    x = images()
    with torch.autocast("cpu", torch.bfloat16):
        found = moved(x, torch.tensor([1, 1, 1]), torch.tensor([0, 0, 0]))
    assert torch.equal(found[..., 1:], x[..., :-1])


@pytest.mark.parametrize("wrong", [{"colour": 1.1}, {"translation": -0.1}, {"cutout": 2}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DiffAugment.model_validate(wrong)
