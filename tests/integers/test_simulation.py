"""The simulation against the arithmetic as it is written down, number by number in Python's unbounded integers."""

import itertools
import math

import integer_nets
import numpy as np
import pytest

from shoestring.core.errors import DataError, ShoestringError
from shoestring.integers import integer_file
from shoestring.integers.integer_graph import Convolution, Requantisation
from shoestring.integers.simulation import computed, integer_logits, requantised, sum_of_digits


def test_requantisation_rounds_half_up_exactly() -> None:
    rng = np.random.default_rng(0)
    accumulators = rng.integers(-(2**22), 2**22, (1, 1, 1, 2000))
    accumulators[..., :3] = 1, -1, 3  # halves, of this multiplier and shift
    how = Requantisation(np.array([2**30], np.int32), np.array([31], np.int8), 0)
    found = requantised(accumulators, how, 32)
    expected = [math.floor((int(acc) * 2**30 + 2**30) / 2**31) for acc in accumulators.ravel()]
    assert found.ravel().tolist() == expected
    assert expected[:3] == [1, 0, 2]


@pytest.mark.parametrize("place", range(4))
def test_a_convolution_is_what_its_docstring_says(place: int) -> None:
    """Of an image, with residual, grouped and dilated, and depthwise with a stride; two pixels of each."""
    net = integer_nets.everything()
    operator = net.operators[place]
    assert isinstance(operator, Convolution)
    rng = np.random.default_rng(place)
    values = {
        name: rng.integers(-128, 128, (1, *net.activations[name].shape)).astype(np.int8) for name in operator.inputs
    }
    found = computed(operator, values, net.activations[operator.output])
    for y, x in ((0, 0), (found.shape[1] - 1, found.shape[2] // 2)):
        assert found[0, y, x].tolist() == [_convolved(operator, values, y, x, o) for o in range(found.shape[3])]


def _convolved(operator: Convolution, values: dict[str, np.ndarray], y: int, x: int, output: int) -> int:
    image, kernel = values[operator.input][0], operator.kernels()[output]
    outputs, rows, columns, depth = operator.kernels().shape
    first = output * operator.groups // outputs * depth
    acc = int(operator.bias[output])
    for i, j, c in itertools.product(range(rows), range(columns), range(depth)):
        row = y * operator.stride[0] + i * operator.dilation[0] - operator.padding[0]
        column = x * operator.stride[1] + j * operator.dilation[1] - operator.padding[1]
        inside = 0 <= row < image.shape[0] and 0 <= column < image.shape[1]
        pixel = image[row, column] if inside else operator.padding_value
        acc += int(kernel[i, j, c]) * int(pixel[first + c])
    if (residual := operator.residual) is not None:
        added = int(values[residual.input][0, y, x, output]) - residual.zero_point
        acc = acc * 2**residual.shift + int(residual.weight[output]) * added
    how = operator.requantisation
    shift = int(how.shift[output])
    q = (acc * int(how.multiplier[output]) + 2 ** (shift - 1)) // 2**shift + how.zero_point
    q = max(-128, min(127, q))
    return q if how.table is None else int(how.table[q + 128])


def test_mirrored_kernels_answer_an_image_and_its_mirror_image_alike() -> None:
    """Where the head averages twins and all strides are 1: the pooled twins only swap."""
    made = integer_nets.Builder((8, 8, 3))
    x = made.convolution("image", 12, (3, 3), padding=(1, 1), mirror="image")
    x = made.convolution(x, 12, (3, 3), padding=(1, 1), mirror="twins")
    made.convolution(x, 12, (8, 8), mirror="twins", bits=32)
    _share_by_twins(made)
    net = made.net(12)
    images = integer_nets.images(net, 6)
    straight, mirrored = integer_logits(net, images), integer_logits(net, images[..., ::-1])
    assert (straight != mirrored).any()
    np.testing.assert_array_equal(straight, np.roll(mirrored, 6, 1))


def _share_by_twins(made: integer_nets.Builder) -> None:
    for operator in made.operators:
        assert isinstance(operator, Convolution)
        how = operator.requantisation
        for array in (
            operator.bias,
            how.multiplier,
            how.shift,
            *([operator.padding_value] if operator.mirror == "twins" else []),
        ):
            array[len(array) // 2 :] = array[: len(array) // 2]


def test_sums_of_digits_are_those_of_their_distributions() -> None:
    """Against probabilities in doubles, from certain digits to even ones."""
    net = integer_nets.digits()
    assert net.digit_sum is not None
    rng = np.random.default_rng(0)
    digits = (rng.normal(size=(200, 3, 10)) * rng.choice([30, 300, 3000], (200, 1, 1))).astype(np.int32)
    found = sum_of_digits(digits, net.digit_sum)
    worst = 0.0
    for (a, b, c), answer in zip(digits.tolist(), found.tolist(), strict=True):
        for total in range(28):
            terms = [
                (a[i] + b[j] + c[total - i - j]) / 256
                for i, j in itertools.product(range(10), range(10))
                if 0 <= total - i - j < 10
            ]
            largest = max(terms)
            exact = largest + math.log2(sum(2 ** (term - largest) for term in terms))
            worst = max(worst, abs(answer[total] / 256 - exact))
    assert worst < 2.5 / 256


def test_images_of_another_size_are_refused() -> None:
    net = integer_nets.mirrored()
    with pytest.raises(DataError, match=r"uint8 images \(n, 3, 8, 8\), not uint8 \(2, 3, 9, 8\)"):
        integer_logits(net, np.zeros((2, 3, 9, 8), np.uint8))
    with pytest.raises(DataError, match="float32"):
        integer_logits(net, np.zeros((2, 3, 8, 8), np.float32))  # type: ignore[arg-type]
    assert integer_logits(net, np.zeros((0, 3, 8, 8), np.uint8)).shape == (0, 5)


@pytest.mark.parametrize("make", [integer_nets.everything, integer_nets.mirrored, integer_nets.digits])
def test_a_saved_net_answers_the_same(make, tmp_path) -> None:
    net = make()
    again = integer_file.read(integer_file.write(net, tmp_path / "net.safetensors"))
    images = integer_nets.images(net, 5)
    np.testing.assert_array_equal(integer_logits(again, images), integer_logits(net, images))
    assert again.activations == net.activations
    assert again.metadata == net.metadata


def test_another_file_is_no_integer_net(tmp_path) -> None:
    file = tmp_path / "net.safetensors"
    with pytest.raises(ShoestringError, match="cannot be read"):
        integer_file.read(file)
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(ShoestringError, match="cannot be read"):
        integer_file.read(file)
