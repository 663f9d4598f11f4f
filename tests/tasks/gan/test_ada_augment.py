"""Each change of ADA alone beside another way to compute it; how often they come; gradients through all of them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from shoestring.core.errors import RecipeError
from shoestring.tasks.gan.ada_augment import ADAugment, recoloured, resampled
from shoestring.tasks.gan.task import Adversarial

OFF: dict[str, Any] = {
    name: 0.0 if isinstance(field.default, float) else False for name, field in ADAugment.model_fields.items()
}
SIDE = 16


def images(n: int = 3, channels: int = 3, side: int = SIDE) -> Tensor:
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def changed(x: Tensor, seed: int = 0, **options: Any) -> Tensor:
    ada = ADAugment(**(OFF | {"probability": 1.0} | options))
    return ada.apply(x, ada.draw(x.shape, torch.Generator().manual_seed(seed)))


def shares(found: Tensor, candidates: list[Tensor]) -> list[float]:
    """How many of the images (n, …) are nearly each of the candidates (n, …); all must be one of them."""
    near = torch.stack([(found - one).abs().flatten(1).amax(1) < 1e-4 for one in candidates])
    assert near.any(0).all()
    return near.double().mean(1).tolist()


def test_by_default_nothing_is_drawn_and_the_whole_set_waits_for_its_probability() -> None:
    task, batch = Adversarial(), {"images": images(), "labels": torch.zeros(3, dtype=torch.int64)}
    assert task.draw(batch, (2,), 0, torch.Generator()).keys() == {"images", "labels", "latent"}
    ada = ADAugment(probability=1)
    assert all(getattr(ada, name) for name in ADAugment.model_fields)


def test_images_that_are_left_alone_keep_their_bits() -> None:
    x = images(200)
    ada = ADAugment(probability=0.1)
    drawn = ada.draw(x.shape, torch.Generator().manual_seed(0))
    alone = _alone(drawn)
    assert 0 < alone.sum() < 200
    same = (ada.apply(x, drawn) == x).flatten(1).all(1)
    assert torch.equal(same, alone)


def _alone(drawn: dict[str, Tensor]) -> Tensor:
    place, colour = torch.eye(3)[:2], torch.eye(4)[:3]
    still = (drawn["places"] == place).all((1, 2)) & (drawn["colours"] == colour).all((1, 2))
    return still & (drawn["shifts"] == 0).all(1) & (drawn["holes"] == SIDE).all(1)


def test_the_probability_of_being_left_alone_is_the_product_of_those_of_all_changes() -> None:
    p, n = 0.15, 20_000
    drawn = ADAugment(probability=p).draw(torch.Size((n, 3, SIDE, SIDE)), torch.Generator().manual_seed(0))
    steps = 2 * round(0.125 * SIDE) + 1
    chances = [1 / 2, 3 / 4, 1 - 1 / steps**2, 1, 1, 1, 1, 1, 1, 1 / 2, 1, 1, 1]  # of a change that is drawn to be one
    expected = math.prod(1 - p * chance for chance in chances)
    assert _alone(drawn).double().mean().item() == pytest.approx(expected, abs=4 * math.sqrt(expected / n))
    rotated = ADAugment(**(OFF | {"probability": p, "rotation_degrees": 90.0})).draw(
        torch.Size((n, 3, SIDE, SIDE)), torch.Generator().manual_seed(1)
    )
    still = (rotated["places"] == torch.eye(3)[:2]).all((1, 2)).double().mean().item()
    assert still == pytest.approx(1 - p, abs=4 * math.sqrt(p / n))


def test_flips_are_flips() -> None:
    x = images(400)
    assert shares(changed(x, flip=True), [x, x.flip(3)]) == pytest.approx([0.5, 0.5], abs=0.1)


def test_quarter_turns_are_turns_by_right_angles() -> None:
    x = images(400)
    found = shares(changed(x, quarter_turns=True), [torch.rot90(x, turns, (2, 3)) for turns in range(4)])
    assert found == pytest.approx([0.25] * 4, abs=0.09)
    with pytest.raises(RecipeError, match=r"16x8 cannot take quarter turns"):
        changed(x[..., :8], quarter_turns=True)


def test_shifts_move_by_whole_pixels_of_the_mirrored_image() -> None:
    x = images(600)
    padded = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="symmetric"))
    moves = [padded[:, :, down : down + SIDE, right : right + SIDE] for down in range(3) for right in range(3)]
    found = changed(x, shift=1 / SIDE)
    assert shares(found, moves) == pytest.approx([1 / 9] * 9, abs=0.06)
    assert torch.isin(found, x).all()  # every pixel bit for bit


def wave(x: Tensor, y: Tensor, across: int, down: int) -> Tensor:
    """A cosine that is even about the edges of the image, at pixels from its centre."""
    return torch.cos(math.pi * across * (x / SIDE + 0.5)) * torch.cos(math.pi * down * (y / SIDE + 0.5))


@pytest.mark.parametrize(
    "kind", [{"scale": 0.2}, {"rotation_degrees": 180.0}, {"stretch": 0.2}, {"fractional_shift": 0.125}]
)
def test_waves_are_read_where_the_map_says(kind: dict[str, float]) -> None:
    n = 50
    places = torch.arange(SIDE) - (SIDE - 1) / 2
    y, x = torch.meshgrid(places, places, indexing="ij")
    ada = ADAugment(**(OFF | {"probability": 1.0} | kind))
    drawn = ada.draw(torch.Size((n, 1, SIDE, SIDE)), torch.Generator().manual_seed(0))
    found = ada.apply(wave(x, y, 1, 2).expand(n, 1, SIDE, SIDE), drawn)
    ones = torch.stack((x, y, torch.full_like(x, SIDE / 2)), -1) / (SIDE / 2)
    read = torch.einsum("nij,hwj->inhw", drawn["places"], ones) * (SIDE / 2)
    assert (found[:, 0] - wave(*read, 1, 2)).abs().max() < 0.08  # linear interpolation at twice the resolution

    linear, moved = drawn["places"][:, :, :2].double(), drawn["places"][:, :, 2].double()
    singular = torch.linalg.svdvals(linear).log2()
    if "fractional_shift" in kind:
        assert torch.allclose(linear, torch.eye(2, dtype=torch.float64).expand(n, 2, 2))
        assert moved.std().item() == pytest.approx(2 * 0.125, rel=0.25)
        return
    assert not moved.any()
    if "rotation_degrees" in kind:
        assert singular.abs().max() < 1e-5
        assert torch.linalg.det(linear).min() > 0
    else:
        assert singular[:, 0].std().item() == pytest.approx(0.2 if "scale" in kind else 0.2 * 0.6, rel=0.3)
        both = 2 * singular[:, 0] if "scale" in kind else torch.zeros(n, dtype=torch.float64)
        assert torch.allclose(singular.sum(1), both, atol=1e-5)


def test_all_detail_stays_where_nothing_moves_and_no_wave_turns_into_another() -> None:
    x = images(2).flip(3)
    nearly = torch.eye(3)[:2].expand(2, 2, 3) + torch.tensor([[0.0, 0, 1e-6], [0, 0, 0]])
    assert torch.allclose(resampled(x, nearly), x, atol=1e-4)
    assert not torch.equal(resampled(x, nearly), x)


def hues(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the colours, and their distance and direction from grey as a complex number."""
    third = torch.exp(torch.tensor(2j * math.pi / 3))
    return x.mean(1), x[:, 0] + x[:, 1] * third + x[:, 2] * third**2


def test_colours_change_as_the_publication_says() -> None:
    x = images(2_000, side=2)
    mean, colour = hues(x)

    found = changed(x, brightness=0.2) - x
    assert torch.allclose(found, found[:, :1, :1, :1].expand_as(x), atol=1e-6)
    assert found[:, 0, 0, 0].std().item() == pytest.approx(0.2, rel=0.06)

    factor = changed(x, contrast=0.5) / x
    assert torch.allclose(factor, factor[:, :1, :1, :1].expand_as(x), rtol=1e-3)
    assert factor[:, 0, 0, 0].log2().std().item() == pytest.approx(0.5, rel=0.06)

    assert shares(changed(x, luma_flip=True), [x, x - 2 * mean[:, None]]) == pytest.approx([0.5, 0.5], abs=0.05)

    found_mean, found_colour = hues(changed(x, hue=0.25))
    turn = (found_colour / colour).flatten(1)
    assert torch.allclose(found_mean, mean, atol=1e-5)
    assert torch.allclose(turn, turn[:, :1].expand_as(turn), atol=1e-2)
    assert torch.allclose(turn.abs(), torch.ones(len(x), 4), atol=1e-3)
    angle = turn[:, 0].angle()
    assert angle.abs().max() <= math.pi / 2 + 1e-3
    assert angle.std().item() == pytest.approx(math.pi / math.sqrt(12), rel=0.06)

    found_mean, found_colour = hues(changed(x, saturation=1.0))
    factor = (found_colour / colour).flatten(1)
    assert torch.allclose(found_mean, mean, atol=1e-5)
    assert torch.allclose(factor, factor[:, :1].real.expand(-1, 4) + 0j, rtol=1e-2, atol=1e-3)
    assert factor[:, 0].real.log2().std().item() == pytest.approx(1, rel=0.06)


def test_images_of_one_channel_change_as_grey_ones_do() -> None:
    grey = images(50, channels=1)
    options = {"brightness": 0.2, "contrast": 0.5, "luma_flip": True, "hue": 0.5, "saturation": 1.0}
    found, three = changed(grey, **options), changed(grey.expand(-1, 3, -1, -1), **options)
    assert torch.allclose(found.expand_as(three), three, atol=1e-5)
    with pytest.raises(RecipeError, match="these have 2"):
        recoloured(images(1, channels=2), torch.eye(4)[None, :3])


def test_half_of_each_side_is_cut_out_unless_it_lies_beyond_the_edge() -> None:
    cut = changed(torch.ones(2_000, 3, SIDE, SIDE), cutout=0.5)[:, 0] == 0
    rows, columns = cut.any(2), cut.any(1)
    assert torch.equal(cut, rows[:, :, None] & columns[:, None, :])
    assert set(rows.sum(1).tolist()) == set(range(SIDE // 4, SIDE // 2 + 1))
    assert rows.sum(1).double().mean().item() == pytest.approx(116 / 17, rel=0.02)  # the first is any of -4..12


def test_gradients_flow_through_every_change() -> None:
    x = images(4).requires_grad_()
    ada = ADAugment(probability=0.7)
    drawn = ada.draw(x.shape, torch.Generator().manual_seed(2))
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    found = (ada.apply(x, drawn) * weights).sum()
    (slope,) = torch.autograd.grad(found, x)
    step = torch.randn(x.shape, generator=torch.Generator().manual_seed(4))
    there = (ada.apply(x.detach() + step, drawn) * weights).sum()  # linear in the image, so any step tells the slope
    assert (there - found).item() == pytest.approx((slope * step).sum().item(), rel=1e-3)
    assert slope.flatten(1).any(1).all()


def test_a_discriminator_learns_from_changed_images_the_same_for_a_real_and_the_made_one() -> None:
    task = Adversarial(ada=ADAugment(probability=0.6))
    batch = task.draw({"images": images(5), "labels": torch.zeros(5, dtype=torch.int64)}, (2,), 0, torch.Generator())
    seen: list[Tensor] = []
    nets = torch.nn.ModuleDict({"generator": _Echo(batch["images"]), "discriminator": _Watch(seen)})
    batch = dict(batch)
    task.loss("discriminator", nets, batch)
    task.loss("generator", nets, batch)
    real, fake, again = seen
    assert torch.equal(real, fake)
    assert torch.equal(real, again)
    assert torch.equal(real, task.ada.apply(batch["images"], batch))
    assert not torch.equal(real, batch["images"])


class _Echo(torch.nn.Module):
    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, latent: Tensor) -> Tensor:
        return self.x


class _Watch(torch.nn.Module):
    def __init__(self, seen: list[Tensor]) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return x.mean((1, 2, 3))


@pytest.mark.parametrize("wrong", [{"probability": 1.1}, {"scale": -0.1}, {"hue": 0.6}, {"rotation_degrees": 181}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ADAugment.model_validate(wrong)
