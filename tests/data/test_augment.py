import colorsys
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage
from torch.nn import functional as F

from shoestring.core import rng
from shoestring.core.errors import RecipeError
from shoestring.data import augment as module
from shoestring.data.affine import affine, smooth_displacement
from shoestring.data.augment import Augment, augment, grey, shifted

torch.set_num_threads(1)

EVERYTHING = Augment(
    rotation_degrees=15,
    translation=0.15,
    scale=(0.85, 1.15),
    shear_degrees=5,
    elastic=0.03,
    horizontal_flip=True,
    crop_padding=3,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    cutout=5,
)


def generator(step=0):
    return rng.generator(1, "test", step)


def pixels(*shape):
    return torch.randint(0, 256, shape, generator=generator(), dtype=torch.uint8)


def floats(*shape):
    return torch.rand(shape, generator=generator())


def moved(images, degrees=0.0, shift=(0.0, 0.0), scale=1.0, shear=0.0, displacement=None):
    n = len(images)
    one = torch.ones(n)
    return affine(images, one * degrees, torch.tensor(shift).expand(n, 2), one * scale, one * shear, displacement)


def each(*values):
    return torch.tensor(values).view(-1, 1, 1, 1)


def test_all_off_gives_the_images_exactly():
    images = pixels(5, 3, 7, 9)
    result = augment(images, Augment(), generator())
    assert result.dtype == torch.float32
    assert torch.equal(result, images.float() / 255)
    assert augment(result, Augment(), generator()) is result


def test_input_is_left_as_it_is():
    for images in (pixels(4, 3, 12, 12), floats(4, 3, 12, 12)):
        before = images.clone()
        augment(images, EVERYTHING, generator())
        assert torch.equal(images, before)


def test_float_and_uint8_images_give_the_same():
    images = pixels(6, 3, 12, 14)
    torch.testing.assert_close(
        augment(images, EVERYTHING, generator()), augment(images.float() / 255, EVERYTHING, generator())
    )


def test_the_generator_decides():
    images = pixels(6, 3, 12, 12)
    first, again, other = (augment(images, EVERYTHING, generator(step)) for step in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1


def test_images_of_a_batch_are_drawn_separately():
    one = pixels(1, 3, 12, 12).expand(4, -1, -1, -1)
    for change in ({"rotation_degrees": 20}, {"brightness": 0.5}, {"hue": 0.2}, {"crop_padding": 4}, {"cutout": 3}):
        result = augment(one, Augment(**change), generator())
        assert len(torch.unique(result, dim=0)) > 1, change


# Affine


def test_identity_affine_keeps_the_pixels():
    images = floats(2, 3, 8, 10)
    torch.testing.assert_close(moved(images), images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("side", [7, 8])
def test_quarter_turns_are_rot90_clockwise(quarters, side):
    images = floats(2, 3, side, side)
    torch.testing.assert_close(moved(images, degrees=90 * quarters), images.rot90(-quarters, (2, 3)), atol=1e-5, rtol=0)


def test_translation_by_whole_pixels_shifts():
    images = floats(2, 3, 8, 10)
    expected = torch.zeros_like(images)
    expected[..., 2:, 3:] = images[..., :-2, :-3]
    torch.testing.assert_close(moved(images, shift=(3 / 10, 2 / 8)), expected, atol=1e-5, rtol=0)


def test_scale_enlarges_about_the_centre():
    block = torch.zeros(1, 1, 16, 16)
    block[..., 6:10, 6:10] = 1
    result = moved(block, scale=2)
    assert torch.equal(result[..., 5:11, 5:11], torch.ones(1, 1, 6, 6))
    outside = result.clone()
    outside[..., 3:13, 3:13] = 0
    assert outside.abs().max() == 0
    assert result.sum().item() == pytest.approx(4 * 16, rel=1e-5)


def test_shear_against_a_grid_made_by_hand():
    images = floats(1, 2, 6, 8)
    slope = math.tan(math.radians(20))
    grid = torch.empty(1, 6, 8, 2)
    for row in range(6):
        for column in range(8):
            x, y = column - 3.5, row - 2.5
            grid[0, row, column, 0] = (x + slope * y) / 4  # undo x -> x - slope y
            grid[0, row, column, 1] = y / 3
    expected = F.grid_sample(images, grid, align_corners=False)
    torch.testing.assert_close(moved(images, shear=20), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("degrees", "shear", "scale"), [(33, 0, 1), (-15, 12, 0.8), (140, -20, 1.3)])
def test_affine_against_scipy_on_oblong_images(degrees, shear, scale):
    images = floats(1, 1, 11, 16)
    angle = math.radians(degrees)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    forward = scale * rotation @ np.array([[1, -math.tan(math.radians(shear))], [0, 1]])
    inverse = np.linalg.inv(forward)[::-1, ::-1]  # scipy speaks (row, column)
    centre, shift = np.array([5.0, 7.5]), np.array([0.1 * 11, -0.2 * 16])
    offset = centre - inverse @ (centre + shift)
    expected = ndimage.affine_transform(images[0, 0].double().numpy(), inverse, offset, order=1, mode="grid-constant")
    result = moved(images, degrees=degrees, shift=(-0.2, 0.1), scale=scale, shear=shear)[0, 0]
    np.testing.assert_allclose(result.numpy(), expected, atol=2e-5)


def test_drawn_affine_parameters_fill_their_ranges(monkeypatch):
    drawn = {}

    def spy(images, **parameters):
        drawn.update(parameters)
        return images

    monkeypatch.setattr(module, "affine", spy)
    spec = Augment(rotation_degrees=15, translation=0.2, scale=(0.8, 1.1), shear_degrees=5)
    augment(pixels(4000, 1, 2, 2), spec, generator())
    assert drawn.pop("displacement") is None
    bounds = {"degrees": (-15, 15), "shift": (-0.2, 0.2), "scale": (0.8, 1.1), "shear_degrees": (-5, 5)}
    assert drawn.keys() == bounds.keys()
    for name, (low, high) in bounds.items():
        values, width = drawn[name], high - low
        assert low <= values.min() < low + 0.01 * width, name
        assert high - 0.01 * width < values.max() <= high, name
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.03 * width), name
    assert abs(torch.corrcoef(drawn["shift"].T)[0, 1]) < 0.1


def test_a_pixel_is_read_from_where_it_is_displaced_to():
    images = floats(1, 1, 8, 10)
    field = torch.zeros(1, 2, 8, 10)
    field[0, 0, 2, 3], field[0, 1, 5, 6] = 2 / 10, -3 / 8  # two to the right of (2, 3); three above (5, 6)
    expected = images.clone()
    expected[0, 0, 2, 3], expected[0, 0, 5, 6] = images[0, 0, 2, 5], images[0, 0, 2, 6]
    torch.testing.assert_close(moved(images, displacement=field), expected, atol=2e-5, rtol=0)


def test_displacements_have_their_deviation_everywhere_and_neighbours_move_alike():
    field = smooth_displacement((4000, 12, 20), 0.05, 0.1, generator())
    assert field.shape == (4000, 2, 12, 20)
    assert field.mean((0, 2, 3)).abs().max() < 0.002
    assert (field.std(0) / 0.05 - 1).abs().max() < 0.06  # edges and corners as well
    assert abs(torch.corrcoef(field[:, :, 6, 10].T)[0, 1]) < 0.1

    def alike(first, second):
        return torch.corrcoef(torch.stack((first, second)))[0, 1].item()

    # Two Gaussians of deviation s, d apart, overlap by exp(-d²/4s²); here s is 2 pixels along x, 1.2 along y.
    middle = field[:, 0, 6, 10]
    for pixels_right in (1, 3, 6):
        expected = math.exp(-(pixels_right**2) / (4 * 2.0**2))
        assert alike(middle, field[:, 0, 6, 10 + pixels_right]) == pytest.approx(expected, abs=0.05)
    assert alike(middle, field[:, 0, 8, 10]) == pytest.approx(math.exp(-4 / (4 * 1.2**2)), abs=0.05)


def test_elastic_alone_warps_and_its_smoothness_alone_does_not():
    images = floats(4, 1, 12, 12)
    assert Augment(elastic=0.05).warps
    assert not torch.equal(augment(images, Augment(elastic=0.05), generator()), images)
    assert torch.equal(augment(images, Augment(elastic_smoothness=0.3), generator()), images)


@pytest.mark.parametrize("more", [{}, {"elastic": 0.05}])
def test_channels_move_together_unless_per_channel(more):
    images = pixels(4, 1, 12, 12).expand(-1, 3, -1, -1)
    spec = Augment(rotation_degrees=30, translation=0.1, **more)
    together = augment(images, spec, generator())
    assert torch.equal(together[:, 0], together[:, 1])
    assert torch.equal(together[:, 0], together[:, 2])
    apart = augment(images, spec.replace(per_channel=True), generator())
    assert apart.shape == images.shape
    for first, second in ((0, 1), (1, 2), (0, 2)):
        assert (apart[:, first] - apart[:, second]).abs().amax((1, 2)).min() > 0.01


def test_per_channel_keeps_images_and_channels_in_their_places():
    images = torch.zeros(4, 3, 9, 9)
    levels = torch.arange(1, 13).view(4, 3) / 12
    images[:, :, 2:7, 2:7] = levels[:, :, None, None]
    result = augment(images, Augment(rotation_degrees=20, per_channel=True), generator())
    torch.testing.assert_close(result[:, :, 4, 4], levels)


# Flip, crop, cutout


def test_flip_mirrors_half_of_the_images():
    image = torch.tensor([[[[0, 100, 200]]]], dtype=torch.uint8)
    result = augment(image.expand(4000, -1, -1, -1), Augment(horizontal_flip=True), generator())
    kept = (result == image / 255).flatten(1).all(1)
    mirrored = (result == image.flip(-1) / 255).flatten(1).all(1)
    assert bool((kept ^ mirrored).all())
    assert abs(mirrored.float().mean().item() - 0.5) < 4 * 0.5 / math.sqrt(4000)


@pytest.mark.parametrize(("fill", "mode"), [("zero", "constant"), ("reflect", "reflect")])
def test_crops_are_the_windows_of_the_padded_image(fill, mode):
    image = pixels(1, 3, 6, 7)
    spec = Augment(crop_padding=2, crop_fill=fill)
    result = augment(image.expand(1500, -1, -1, -1), spec, generator())
    padded = F.pad(image.float() / 255, (2, 2, 2, 2), mode=mode)
    windows = padded.unfold(2, 6, 1).unfold(3, 7, 1).permute(0, 2, 3, 1, 4, 5).reshape(25, 3, 6, 7)
    same = (result[:, None] == windows[None]).flatten(2).all(2)
    assert bool((same.sum(1) == 1).all())
    counts = same.sum(0)
    assert ((counts - 60).double().pow(2) / 60).sum() < 60  # chi squared, 24 degrees of freedom, p < 1e-4


def test_reflection_beyond_the_image_is_an_error():
    images = pixels(2, 1, 6, 8)
    augment(images, Augment(crop_padding=5), generator())
    with pytest.raises(RecipeError, match="at most 5"):
        augment(images, Augment(crop_padding=6), generator())
    assert augment(images, Augment(crop_padding=6, crop_fill="zero"), generator()).shape == images.shape


@pytest.mark.parametrize("side", [3, 4])
def test_cutout_zeroes_squares_centred_anywhere(side):
    n, size = 3000, 9
    cut = augment(torch.ones(n, 2, size, size), Augment(cutout=side), generator()) == 0
    assert torch.equal(cut[:, 0], cut[:, 1])
    rows, columns = cut[:, 0].any(2), cut[:, 0].any(1)
    assert torch.equal(cut[:, 0], rows[:, :, None] & columns[:, None, :])
    for line in (rows, columns):
        lengths = {min(centre - side // 2 + side, size) - max(centre - side // 2, 0) for centre in range(size)}
        assert set(line.sum(1).tolist()) == lengths
        assert bool(((line[:, 1:] != line[:, :-1]).sum(1) <= 2).all())  # one run
        assert bool(line.any(0).all())


# Colour


def test_brightness_multiplies_and_clips():
    images = floats(2, 3, 4, 4)
    result = module.brightened(images, each(0.5, 1.7))
    torch.testing.assert_close(result[0], images[0] * 0.5)
    torch.testing.assert_close(result[1], (images[1] * 1.7).clamp(max=1))


def test_contrast_spreads_about_the_mean_grey():
    images = floats(2, 3, 4, 4)
    result = module.contrasted(images, each(0.25, 1.8))
    for index, factor in enumerate((0.25, 1.8)):
        red, green, blue = images[index]
        mean = (0.299 * red + 0.587 * green + 0.114 * blue).mean()
        torch.testing.assert_close(result[index], (mean + factor * (images[index] - mean)).clamp(0, 1))


def test_saturation_spreads_about_each_pixels_grey():
    images = floats(3, 3, 4, 4)
    result = module.saturated(images, each(0.0, 0.6, 1.9))
    for index, factor in enumerate((0.0, 0.6, 1.9)):
        red, green, blue = images[index]
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        torch.testing.assert_close(result[index], (luma + factor * (images[index] - luma)).clamp(0, 1))


def test_hue_of_primary_colours_turns_by_thirds():
    muted = torch.full((6, 3), 0.4)
    for index in range(3):
        muted[2 * index : 2 * index + 2, index] += 0.05
    result = module.hue_turned(muted.view(6, 3, 1, 1), each(*[1 / 3, -1 / 3] * 3)).view(6, 3)
    for index, (primary, turn) in enumerate((primary, turn) for primary in range(3) for turn in (1, -1)):
        target = (primary + turn) % 3
        hue, saturated, _ = colorsys.rgb_to_hsv(*result[index].tolist())
        assert saturated > 0.05
        assert abs((hue - target / 3 + 0.5) % 1 - 0.5) < 1e-4


def test_hue_keeps_luma_and_adds_up():
    images = 0.45 + 0.1 * floats(4, 3, 5, 5)  # dull enough that nothing is clipped
    turned = module.hue_turned(images, each(0.1, 0.25, -0.4, 0.5))
    torch.testing.assert_close(grey(turned), grey(images))
    assert (turned - images).abs().amax((1, 2, 3)).min() > 0.01
    further = module.hue_turned(turned, each(0.15, 0.05, 0.1, -0.1))
    torch.testing.assert_close(further, module.hue_turned(images, each(0.25, 0.3, -0.3, 0.4)))
    torch.testing.assert_close(module.hue_turned(images, each(1.0, 0.0, -1.0, 2.0)), images)


def test_grey_images_have_no_saturation_or_hue_to_change():
    spec = Augment(saturation=0.9, hue=0.5)
    single = floats(8, 1, 6, 6)
    coloured = single.expand(-1, 3, -1, -1)
    torch.testing.assert_close(augment(coloured, spec, generator()), coloured)
    torch.testing.assert_close(augment(single, spec, generator()), single)


@pytest.mark.parametrize(
    ("name", "function"),
    [("brightness", "brightened"), ("contrast", "contrasted"), ("saturation", "saturated"), ("hue", "hue_turned")],
)
def test_drawn_colour_factors_fill_their_ranges(monkeypatch, name, function):
    drawn = []
    monkeypatch.setattr(module, function, lambda images, factor: drawn.append(factor) or images)
    for strength in (0.5, 1.5):
        if name == "hue" and strength > 0.5:
            continue
        augment(pixels(3000, 3, 1, 1), Augment(**{name: strength}), generator())
        centre = 0 if name == "hue" else 1
        low, high = max(centre - strength, 0 if centre else -1), centre + strength
        values = drawn.pop()
        assert values.shape == (3000, 1, 1, 1)
        assert low <= values.min() < low + 0.02 < high - 0.02 < values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.05)


def test_the_order_of_changes_is_fixed(monkeypatch):
    called = []
    names = ["flip", "shifted", "affine", "brightened", "contrasted", "saturated", "hue_turned", "cut_out"]
    for name in names:
        original = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *a, _name=name, _original=original, **k: called.append(_name) or _original(*a, **k)
        )
    augment(pixels(2, 3, 8, 8), EVERYTHING, generator())
    assert called == names


def test_colour_jitter_needs_one_or_three_channels():
    images = pixels(2, 2, 4, 4)
    for name in ("contrast", "saturation", "hue"):
        with pytest.raises(RecipeError, match="these images have 2"):
            augment(images, Augment(**{name: 0.1}), generator())


# Spec


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": (1.1, 0.9)},
        {"scale": (0, 1)},
        {"rotation_degrees": -1},
        {"shear_degrees": 90},
        {"translation": 1.5},
        {"hue": 0.6},
        {"elastic_smoothness": 0},
        {"crop_padding": -1},
        {"rotation": 15},
    ],
)
def test_specs_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        Augment(**wrong)


def test_spec_survives_json():
    assert Augment.model_validate_json(EVERYTHING.model_dump_json()) == EVERYTHING


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_nothing_waits_for_the_gpu():
    device = torch.device("cuda")
    images = pixels(16, 3, 12, 12).to(device)
    spec = EVERYTHING.replace(per_channel=True)
    augment(images, spec, rng.generator(0, device=device))
    torch.cuda.set_sync_debug_mode("error")
    try:
        augment(images, spec, rng.generator(0, device=device))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_half_the_strength_is_half_of_every_range_but_flips() -> None:
    half = EVERYTHING.replace(scale=(0.8, 1.2), strength=0.5).weakened()
    assert half.rotation_degrees == pytest.approx(7.5)
    assert half.scale == pytest.approx((0.9, 1.1))
    assert (half.crop_padding, half.cutout) == (2, 2)
    assert half.hue == pytest.approx(0.05)
    assert half.horizontal_flip
    assert half.strength == 1
    assert EVERYTHING.weakened() is EVERYTHING


def test_without_strength_images_stay_as_they_are() -> None:
    spec = Augment(rotation_degrees=20, scale=(0.5, 1.5), brightness=0.5, crop_padding=2, cutout=3)
    images = pixels(4, 3, 8, 8)
    assert torch.equal(spec.replace(strength=0).apply(images, generator()), images.float() / 255)
    assert torch.equal(spec.apply(images, generator()), augment(images, spec, generator()))
    assert not torch.equal(spec.replace(strength=0.5).apply(images, generator()), images.float() / 255)


def test_a_view_changes_all_images_alike_whatever_batch_they_are_in() -> None:
    spec = Augment(
        rotation_degrees=40, translation=0.2, scale=(0.6, 1.4), brightness=0.5, per_channel=True, crop_padding=4
    )
    one, other = pixels(1, 3, 12, 12), pixels(4, 3, 12, 12)
    for number in (1, 2):
        alone = spec.view(one, number)
        assert alone.equal(spec.view(torch.cat((other, one)), number)[4:])
        assert not alone.equal(one.float() / 255)
        grey = one[:, :1].expand(-1, 3, -1, -1)
        seen = spec.view(grey, number)
        assert not seen[:, 0].equal(seen[:, 1])  # each channel has its own change
    assert not spec.view(one, 1).equal(spec.view(one, 2))
    assert Augment().view(one, 1).equal(one.float() / 255)


def test_every_other_view_is_mirrored_where_training_mirrors() -> None:
    images = pixels(3, 3, 8, 8)
    mirrors = Augment(horizontal_flip=True, cutout=4)  # what is cut out helps training alone
    assert mirrors.view(images, 1).equal(images.flip(-1).float() / 255)
    assert mirrors.view(images, 2).equal(images.float() / 255)


def test_a_view_is_a_quarter_of_what_training_changes() -> None:
    spec = Augment(crop_padding=4)  # so by one pixel at most
    images = pixels(1, 1, 8, 8)
    near = [shifted(images, torch.tensor([x]), torch.tensor([y]), "reflect") for x in (-1, 0, 1) for y in (-1, 0, 1)]
    views = [spec.view(images, number) for number in range(1, 20)]
    assert all(any(view.equal(one.float() / 255) for one in near) for view in views)
    assert len({view.numpy().tobytes() for view in views}) > 4
