"""A generator's program answers as its net does, in torch and in the page's JavaScript; weights are rounded as said."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shoestring.core.errors import ExportError
from shoestring.exporting.float_program import OPERATORS, FloatProgram
from shoestring.exporting.float_tracing import float_program
from shoestring.exporting.html_page import part
from shoestring.nets.conditional_dcgan import ConditionalDCGAN
from shoestring.nets.fuse_bn import fuse_conv_bn

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no Node.js here: apt-get install nodejs")


class Everything(nn.Module):
    """Every operator that a program knows, each in a shape that a mistake in its axes would not survive."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(5, 6 * 2 * 3)
        self.label = nn.Linear(4, 6, bias=False)
        self.up = nn.ConvTranspose2d(6, 8, 4, 2, 1)
        self.odd = nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1, bias=False)
        self.wide = nn.Conv2d(6, 8, 3, padding=2, dilation=2)
        self.grouped = nn.Conv2d(8, 6, (3, 1), stride=(2, 1), padding=(1, 0), groups=2, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.query = nn.Linear(6, 18)
        self.head = nn.Conv2d(12, 3, 1)
        self.scale = nn.Parameter(torch.tensor([0.5, 1.0, -2.0]).view(1, 3, 1, 1))
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                parameter.data = torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5
        self.norm.running_mean = torch.linspace(-1, 1, 6)
        self.norm.running_var = torch.linspace(0.5, 2, 6)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        told = self.label((labels[:, None] == torch.arange(4)).float())
        x = self.start(latents).unflatten(1, (2, 3, 6)).permute(0, 3, 1, 2)
        x = F.leaky_relu(x + told[:, :, None, None], 0.2)
        x = (
            torch.relu(self.up(x))
            - 0.5
            * F.silu(self.odd(F.interpolate(self.up(x)[:, :, ::2], scale_factor=1.0)))[:, :1].expand(-1, 8, -1, -1)[
                :, :, :4, :6
            ]
        )
        y = self.norm(self.grouped(x))
        y = F.interpolate(y, scale_factor=2, mode="nearest")
        first, second = y.split((2, 4), 1)
        y = torch.cat(
            (second.tanh().flip(2, 3), first.sigmoid() * torch.cos(first), second[:, :1].abs(), y[:, 1:6].sin()), 1
        )
        y = torch.rsqrt(y.square().mean((1, 2), keepdim=True) + 1) * y
        z = F.avg_pool2d(self.wide(y[:, :6]), 2)
        tokens = self.query(z[:, :6].flatten(2).transpose(1, 2)).unflatten(2, (3, 2, 3)).permute(2, 0, 3, 1, 4)
        asked, key, value = tokens.unbind(0)
        found = F.scaled_dot_product_attention(asked, key, value).transpose(1, 2).flatten(2).transpose(1, 2)
        found = F.interpolate(found.unflatten(2, tuple(z.shape[2:])), scale_factor=2, mode="bilinear")
        x = self.head(torch.cat((found, y[:, :6]), 1)) * self.scale
        x = (
            x / (1 + x.exp().clamp(max=3).sqrt())
            + (-x).clamp_min(0.1).log()
            - x.clamp(-0.3, 0.4).reciprocal().clamp(-1, 1)
        )
        return F.pixel_shuffle(torch.cat((x, x.neg(), x, 2 - x), 1), 2)


@pytest.fixture(scope="module")
def everything() -> tuple[nn.Module, tuple[Tensor, Tensor], FloatProgram]:
    """A net, inputs of five images, and the net's program."""
    net = Everything().eval().requires_grad_(False)
    inputs = torch.randn(5, 5, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 3, 1, -1, 2])
    program = float_program(net, (inputs[0][:1], inputs[1][:1]), ("latents", "labels"), "everything")
    return net, inputs, program


def in_javascript(program: FloatProgram, inputs: tuple[Tensor, ...], tmp_path: Path) -> Tensor:
    """What the page's script answers."""
    graph, numbers = program.packed()
    given = [
        {name: each[place].flatten().tolist() for name, each in zip(program.inputs, inputs, strict=True)}
        for place in range(len(inputs[0]))
    ]
    (tmp_path / "given.json").write_text(json.dumps({"graph": graph, "numbers": list(numbers), "inputs": given}))
    (tmp_path / "run.js").write_text(
        part("float_net.js") + "\nconst given = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "const program = readProgram(given.graph, Uint8Array.from(given.numbers));"
        "console.log(JSON.stringify(given.inputs.map((each) => Array.from(runProgram(program, each)))));"
    )
    with (tmp_path / "given.json").open() as file:
        done = subprocess.run([str(NODE), tmp_path / "run.js"], stdin=file, capture_output=True, text=True, check=True)
    answers: list[list[float]] = json.loads(done.stdout)
    return torch.tensor(answers).view(len(inputs[0]), *program.steps[-1].shape[1:])


def test_the_program_answers_as_the_net(everything: Any) -> None:
    net, inputs, program = everything
    assert {step.name for step in program.steps} == set(OPERATORS)
    assert torch.allclose(program.answer(inputs), net(*inputs), atol=1e-5)


@needs_node
@pytest.mark.parametrize("bits", [8, 9, 12])
def test_javascript_answers_as_the_program(bits: int, everything: Any, tmp_path: Path) -> None:
    _, inputs, program = everything
    rounded = program.rounded(bits)
    assert torch.allclose(in_javascript(rounded, inputs, tmp_path), rounded.answer(inputs), atol=1e-5)


@pytest.mark.parametrize("bits", [8, 12])
def test_weights_are_integers_of_so_many_bits(bits: int, everything: Any) -> None:
    _, _, program = everything
    weights = {name: constant for name, constant in program.constants.items() if constant.axis is not None}
    assert sum(each.values.numel() for each in weights.values()) > 1000
    for name, weight in weights.items():
        rounded = program.rounded(bits).constants[name]
        others = [axis for axis in range(weight.values.ndim) if axis != weight.axis]
        size = [-1 if axis == weight.axis else 1 for axis in range(weight.values.ndim)]
        assert rounded.integers.abs().amax(others).eq(2 ** (bits - 1) - 1).all()  # the largest of each output
        assert torch.equal(rounded.values, rounded.integers * rounded.scales.view(size))
        assert ((rounded.values - weight.values).abs() <= rounded.scales.view(size) / 2 * 1.0001).all()


@pytest.fixture(scope="module")
def mirrored() -> tuple[nn.Module, tuple[Tensor, Tensor], FloatProgram]:
    """A mirrored generator, inputs for it, and its program."""
    spec = ConditionalDCGAN(generator=(4, 3, 2, 2), discriminator=(2, 2, 2, 2), latent=8, embedding=6, mirrored=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = spec.build((3, 32, 32), 5)["generator"]
        nn.init.normal_(net.get_parameter("modulate.weight"), 0, 0.2)
        inputs = torch.randn(4, 8), torch.tensor([0, 3, 1, -1])
        net.train()(*inputs)  # running statistics that tell twins apart
    net.eval().requires_grad_(False)
    example = inputs[0][:1], inputs[1][:1]
    return net, inputs, float_program(fuse_conv_bn(net), example, ("latents", "labels"), "mirrored")


def test_a_mirrored_generator_is_a_program_of_plain_layers(mirrored: Any) -> None:
    net, inputs, program = mirrored
    assert torch.allclose(program.answer(inputs), net(*inputs), atol=1e-5)


@needs_node
def test_of_mirrored_kernels_the_page_gets_half(mirrored: Any, tmp_path: Path) -> None:
    net, inputs, program = mirrored
    rounded = program.rounded(9)
    held, known = rounded.packed()[0]["integers"], net.convs.parameters()
    whole = sum(each.integers.numel() for each in rounded.constants.values() if each.integers is not None)
    assert whole - held == sum(parameter.numel() for parameter in known)
    assert torch.allclose(in_javascript(rounded, inputs, tmp_path), rounded.answer(inputs), atol=1e-5)


@pytest.mark.parametrize(
    "how", [{"scale_factor": (1.5, 2.3)}, {"size": (7, 4)}, {"size": (7, 9), "align_corners": True}]
)
def test_a_program_interpolates_as_torch_does(how: dict[str, Any]) -> None:
    class Resized(nn.Module):
        def forward(self, latents: Tensor) -> Tensor:
            return F.interpolate(latents.unflatten(1, (2, 5, 3)), mode="bilinear", **how)

    latents = torch.randn(4, 30, generator=torch.Generator().manual_seed(3))
    program = float_program(Resized(), (latents[:1],), ("latents",), "resized")
    torch.testing.assert_close(program.answer((latents,)), Resized()(latents))


def test_what_a_page_cannot_do_is_named() -> None:
    class Sorting(nn.Module):
        def forward(self, latents: Tensor) -> Tensor:
            return latents.sort().values

    with pytest.raises(ExportError, match=r"mine: the page has no operator for 'aten.sort.*--to onnx"):
        float_program(Sorting(), (torch.zeros(1, 4),), ("latents",), "mine")
