import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from shoestring.core.errors import RecipeError
from shoestring.nets.digit_sum import DigitAdder, DigitSum, log_sum_distribution
from shoestring.nets.summary import layer_table

SHAPE = (3, 28, 28)


class Given(nn.Module):
    """Reads the digit that the first pixel says, with certainty."""

    def forward(self, x: Tensor) -> Tensor:
        return 200.0 * nn.functional.one_hot(x[:, 0, 0, 0].long(), 10).float()


def adder() -> DigitAdder:
    torch.manual_seed(0)
    return DigitSum(width=4).build(SHAPE, 20)["classifier"]


@pytest.mark.parametrize("sharpness", [0.3, 3.0, 30.0])
def test_distribution_of_the_sum_is_that_of_all_thousand_triples(sharpness: float) -> None:
    generator = torch.Generator().manual_seed(0)
    digits = torch.randn(50, 3, 10, generator=generator).mul(sharpness).log_softmax(2)
    expected = torch.zeros(50, 28, dtype=torch.float64)
    for red, green, blue in itertools.product(range(10), repeat=3):
        chances = digits[:, 0, red].double() + digits[:, 1, green].double() + digits[:, 2, blue].double()
        expected[:, red + green + blue] += chances.exp()
    found = log_sum_distribution(digits)
    torch.testing.assert_close(found.double().exp(), expected, rtol=1e-5, atol=1e-12)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(50))


def test_improbable_sums_keep_their_logarithm() -> None:
    digits = torch.full((1, 3, 10), -100.0)
    digits[0, :, 9] = 0.0
    found = log_sum_distribution(digits)[0]
    assert found[27] == 0
    assert found[0].item() == pytest.approx(-300)
    assert found[18].item() == pytest.approx(-100 + math.log(3), abs=1e-3)


def test_gradient_of_the_sum_agrees_with_finite_differences() -> None:
    digits = torch.randn(2, 3, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: log_sum_distribution(x.log_softmax(2)), digits)


def test_gradients_are_finite_where_digits_are_certain() -> None:
    digits = torch.tensor([[[0.0] + [-1e4] * 9] * 3], requires_grad=True)
    log_sum_distribution(digits)[0, 20].backward()
    assert digits.grad is not None
    assert digits.grad.isfinite().all()


def test_digits_that_are_read_are_added_up() -> None:
    images = torch.zeros(3, *SHAPE)
    images[:, :, 0, 0] = torch.tensor([[0.0, 0.0, 1.0], [9.0, 9.0, 2.0], [3.0, 0.0, 4.0]])
    net = DigitAdder(Given(), channels=3, num_classes=20)
    assert net(images).argmax(1).tolist() == [0, 19, 6]
    assert net.digits(images).argmax(2).tolist() == [[0, 0, 1], [9, 9, 2], [3, 0, 4]]


def test_classes_are_the_sums_one_to_twenty_given_that_it_is_one_of_them() -> None:
    net, images = adder().eval(), torch.randn(5, *SHAPE)
    digits = net.digits(images)
    torch.testing.assert_close(digits.exp().sum(2), torch.ones(5, 3))
    chances = log_sum_distribution(digits).exp()[:, 1:21]
    torch.testing.assert_close(net(images).exp(), chances / chances.sum(1, keepdim=True))


def test_channels_are_read_alike() -> None:
    net, images = adder().eval(), torch.randn(2, *SHAPE)
    torch.testing.assert_close(net.digits(images.flip(1)), net.digits(images).flip(1))
    torch.testing.assert_close(net(images.flip(1)), net(images))


@pytest.mark.parametrize(
    ("spec", "parameters"), [(DigitSum(), 97_228), (DigitSum(width=11), 24_661), (DigitSum(width=16), 51_706)]
)
def test_parameters_are_those_of_the_closed_form(spec: DigitSum, parameters: int) -> None:
    w = spec.width
    kernels = 9 * w * (1 + w + 2 * w + 4 * w + 6 * w + 9 * w)
    norms = 2 * 2 * (w + 2 * w + 3 * w)
    head = 10 * (3 * w + 1)
    table = layer_table(spec.build(SHAPE, 20), spec.examples(SHAPE))
    assert sum(layer.parameters for layer in table) == kernels + norms + head == parameters


def test_stride_of_the_stem_divides_the_work_by_four() -> None:
    work = [
        sum(layer.multiply_adds for layer in layer_table(spec.build(SHAPE, 20), spec.examples(SHAPE)))
        for spec in (DigitSum(stem_stride=1), DigitSum(stem_stride=2))
    ]
    assert 3.5 < work[0] / work[1] < 4


def test_more_classes_than_sums_are_refused() -> None:
    with pytest.raises(RecipeError, match="sums 1 to 27, not 100 classes; use it with data 'addnist'"):
        DigitSum().build(SHAPE, 100)


def test_sums_alone_teach_the_digits() -> None:
    torch.manual_seed(2)
    generator = torch.Generator().manual_seed(2)
    net = DigitAdder(nn.Sequential(nn.Flatten(), nn.Linear(16, 10)), channels=3, num_classes=20)
    patterns = torch.randn(10, 1, 4, 4, generator=generator)
    digits = torch.randint(10, (20000, 3), generator=generator)
    digits = digits[(digits.sum(1) >= 1) & (digits.sum(1) <= 20)]
    optimiser = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(300):
        batch = digits[torch.randint(len(digits), (200,), generator=generator)]
        loss = nn.functional.cross_entropy(net(patterns[batch, 0]), batch.sum(1) - 1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    each = torch.arange(10)[:, None].expand(-1, 3)
    assert torch.equal(net.digits(patterns[each, 0]).argmax(2), each)


def test_a_chain_of_unpadded_convolutions_reads_each_digit() -> None:
    """Counted by hand: 3x3 kernels, two numbers a norm, and ten digits from 2x2 means."""
    widths = (11, 16, 21, 26, 30, 34, 38, 43, 47, 52)
    nets = DigitSum(chain=widths).build(SHAPE, 20)
    kernels = sum(9 * a * b for a, b in itertools.pairwise((1, *widths)))
    assert sum(p.numel() for p in nets.parameters()) == kernels + 2 * sum(widths) + 4 * 52 * 10 + 10 == 95_066
    net = nets["classifier"].eval()
    assert net.reader[:-3](torch.rand(2, 1, 28, 28)).shape == (2, 52, 8, 8)
    torch.testing.assert_close(net(torch.rand(2, *SHAPE)).exp().sum(1), torch.ones(2))


def test_a_chain_longer_than_the_image_is_refused() -> None:
    DigitSum(chain=(4,) * 13).build(SHAPE, 20)
    with pytest.raises(RecipeError, match="enough for 13"):
        DigitSum(chain=(4,) * 14).build(SHAPE, 20)
