"""Integer nets of random numbers that hold every operator, for tests of what runs them."""

from typing import Any, Literal

import numpy as np

from shoestring.integers.integer_graph import (
    IMAGE,
    Activation,
    Add,
    Concatenate,
    Convolution,
    DigitSum,
    IntegerNet,
    Lookup,
    MaxPool,
    Mean,
    Multiply,
    Operator,
    Requantisation,
    Residual,
    Slice,
)


class Builder:
    """Appends operators of random weights, scaled so that outputs use their eight bits."""

    def __init__(self, image: tuple[int, int, int], seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.activations = {IMAGE: Activation(image, 1.0, -128)}
        self.operators: list[Operator] = []

    def add(self, operator: Operator, shape: tuple[int, int, int], bits: Literal[8, 32] = 8) -> str:
        self.operators.append(operator)
        self.activations[operator.output] = Activation(shape, 0.01, int(self.rng.integers(-128, 20)), bits)
        return operator.output

    def name(self) -> str:
        return f"t{len(self.operators)}"

    def shape(self, name: str) -> tuple[int, int, int]:
        return self.activations[name].shape

    def requantisation(self, channels: int, spread: float, table: bool = False) -> Requantisation:
        """Brings accumulators of a spread to one of 50; multipliers and shifts vary."""
        shift = self.rng.integers(30, 45, channels)
        multiplier = np.minimum(50 / spread * 2.0**shift * self.rng.uniform(0.7, 1.4, channels), 2**30)
        found = self.rng.integers(-128, 128, 256).astype(np.int8) if table else None
        zero = int(self.rng.integers(-100, 30))
        return Requantisation(multiplier.astype(np.int32), shift.astype(np.int8), zero, found)

    def convolution(
        self,
        input: str,
        outputs: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        mirror: Literal["none", "image", "twins"] = "none",
        residual: str | None = None,
        table: bool = False,
        bits: Literal[8, 32] = 8,
    ) -> str:
        height, width, channels = self.shape(input)
        kernels = outputs // (1 if mirror == "none" else 2)
        weight = self.rng.integers(-127, 128, (kernels, *kernel, channels // groups)).astype(np.int8)
        spread = 73 * 73 * np.sqrt(weight[0].size)
        how = self.requantisation(outputs, spread, table)
        added = None
        if residual is not None:
            zero = self.activations[residual].zero_point
            added = Residual(residual, self.rng.integers(500, 3000, outputs).astype(np.int32), 2, zero)
        made = Convolution(
            input=input,
            output=self.name(),
            weight=weight,
            bias=self.rng.integers(-5000, 5000, outputs).astype(np.int32),
            stride=stride,
            padding=padding,
            padding_value=self.rng.integers(-128, 128, channels).astype(np.int8),
            dilation=dilation,
            groups=groups,
            mirror=mirror,
            requantisation=how,
            residual=added,
        )
        rows, columns = (
            (size + 2 * pad - (reach - 1) * dilated - 1) // step + 1
            for size, pad, reach, dilated, step in zip((height, width), padding, kernel, dilation, stride, strict=True)
        )
        return self.add(made, (rows, columns, outputs), bits)

    def logits(self, input: str, classes: int) -> str:
        """A linear layer whose logits are as large as numbers of DigitSum, too."""
        return self.convolution(input, classes, self.shape(input)[:2], bits=32)

    def net(self, classes: int, digits: bool = False) -> IntegerNet:
        height, width, channels = self.shape(IMAGE)
        return IntegerNet(
            image=(height, width, 3 if digits else channels),
            activations=self.activations,
            operators=tuple(self.operators),
            num_classes=classes,
            digit_sum=digit_sum() if digits else None,
            metadata={"model": "random"},
        )


def everything(seed: int = 0) -> IntegerNet:
    """Every operator, in odd sizes."""
    made = Builder((9, 7, 3), seed)
    rng = made.rng
    stem = made.convolution(IMAGE, 10, (3, 3), padding=(1, 1), table=True)
    wide = made.convolution(stem, 10, (3, 5), padding=(1, 2), residual=stem)
    grouped = made.convolution(wide, 10, (3, 3), padding=(2, 2), dilation=(2, 2), groups=2, residual=wide, table=True)
    deep = made.convolution(grouped, 10, (3, 3), stride=(2, 1), padding=(1, 1), groups=10)
    pooled = made.add(MaxPool(deep, made.name(), (3, 2), (1, 2), (1, 1)), (5, 4, 10))
    halves = [made.add(Slice(pooled, made.name(), start, start + 5), (5, 4, 5)) for start in (0, 5)]
    zeros = made.activations[pooled].zero_point, made.activations[pooled].zero_point
    product = made.add(Multiply(*halves, made.name(), zeros, made.requantisation(1, 5000, table=True)), (5, 4, 5))
    tables = None, rng.integers(-128, 128, 256).astype(np.int8)
    joined = made.add(Concatenate((product, halves[1]), made.name(), tables), (5, 4, 10))
    how = made.requantisation(1, 20 * 73)
    vector = made.add(Mean(joined, made.name(), 20 * 3, how), (1, 1, 10))
    gate = made.convolution(vector, 10, (1, 1), table=True)
    zeros = made.activations[joined].zero_point, made.activations[gate].zero_point
    gated = made.add(Multiply(joined, gate, made.name(), zeros, made.requantisation(1, 5000)), (5, 4, 10))
    looked = made.add(Lookup(gated, made.name(), rng.integers(-128, 128, 256).astype(np.int8)), (5, 4, 10))
    how = Requantisation(np.ones(1, np.int32), np.array([20], np.int8), 3)
    zeros = made.activations[looked].zero_point, made.activations[joined].zero_point
    total = made.add(Add(looked, joined, made.name(), (700_000, -300_000), zeros, how), (5, 4, 10))
    total = made.add(Add(total, vector, made.name(), (600_000, 400_000), zeros, how), (5, 4, 10))
    features = made.convolution(total, 12, (5, 4))
    parts = [made.add(Slice(features, made.name(), start, start + 6), (1, 1, 6)) for start in (0, 6)]
    zeros = made.activations[features].zero_point, made.activations[features].zero_point
    mean = made.add(Add(*parts, made.name(), (500_000, 500_000), zeros, how), (1, 1, 6))
    made.logits(mean, 7)
    return made.net(7)


def mirrored(seed: int = 0) -> IntegerNet:
    """Kernels with mirror images, of an image and of twins, strided too."""
    made = Builder((8, 8, 3), seed)
    x = made.convolution(IMAGE, 12, (3, 3), padding=(1, 1), mirror="image")
    x = made.convolution(x, 12, (3, 3), padding=(1, 1), mirror="twins", residual=x)
    x = made.convolution(x, 14, (3, 3), stride=(2, 2), padding=(1, 1), mirror="twins", table=True)
    x = made.convolution(x, 10, (1, 1), mirror="twins")
    made.logits(x, 5)
    return made.net(5)


def digits(seed: int = 0) -> IntegerNet:
    """A reader of digits, of one channel at a time."""
    made = Builder((8, 8, 1), seed)
    x = made.convolution(IMAGE, 6, (3, 3), stride=(2, 2), padding=(1, 1))
    made.logits(x, 10)
    return made.net(20, digits=True)


def digit_sum() -> DigitSum:
    parts = np.arange(257) / 256
    return DigitSum(
        np.rint(2.0 ** (24 - parts[:256])).astype(np.int32), np.rint(256 * np.log2(1 + parts)).astype(np.int32)
    )


def images(net: IntegerNet, count: int, seed: int = 1) -> Any:
    """Random images of a net, uint8 (n, c, h, w)."""
    height, width, channels = net.image
    return np.random.default_rng(seed).integers(0, 256, (count, channels, height, width), np.uint8)
