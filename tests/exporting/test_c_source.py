"""The C source of integer nets, compiled, against the simulation: equal to the bit."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import integer_nets
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from shoestring.core.errors import ShoestringError
from shoestring.core.rng import generator, seeded
from shoestring.data.dataset import Signed
from shoestring.exporting.c_source import CSource, c_source
from shoestring.integers.integer_graph import IntegerNet
from shoestring.integers.limits import device_limits
from shoestring.integers.quantization import quantize
from shoestring.integers.simulation import integer_logits
from shoestring.nets.separable import SeparableNet


def separable(seed: int = 0) -> IntegerNet:
    """A net of `fit`: a stem of stride 4 on one channel, depthwise convolutions, residual additions."""
    with seeded(seed, "separable"):
        net = SeparableNet(widths=(6, 9), depths=(2, 2), stem_stride=4).build((1, 28, 28), 5)["classifier"]
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
    noise = torch.randint(256, (8, 1, 28, 28), generator=generator(seed, "noise"), dtype=torch.uint8)
    return quantize(net, Signed(1), noise, 5, "separable")


NETS = {
    "everything": integer_nets.everything,
    "mirrored": integer_nets.mirrored,
    "digits": integer_nets.digits,
    "separable": separable,
}
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compiler(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"needs {name}"))


def written(net: IntegerNet, name: str, folder: Path) -> CSource:
    source = c_source(net, name, integer_nets.images(net, 4))
    for file, text in source.files.items():
        (folder / file).write_text(text)
    return source


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def address(array: NDArray[Any]) -> ctypes.c_void_p:
    """Of an array's first element; as a bare number, ctypes would cut it to 32 bits."""
    return ctypes.c_void_p(array.ctypes.data)


@pytest.mark.parametrize("cc", [compiler("gcc"), compiler("clang")])
@pytest.mark.parametrize("name", NETS)
def test_its_own_test_passes_with_warnings_and_undefined_behaviour_as_errors(
    name: str, cc: str, tmp_path: Path
) -> None:
    written(NETS[name](), name, tmp_path)
    program = tmp_path / "program"
    run(cc, *STRICT, *SANITIZED, "-O1", "-o", program, tmp_path / f"{name}.c", tmp_path / f"{name}_test.c")
    run(program)


@pytest.mark.parametrize("cc", [compiler("gcc")])
@pytest.mark.parametrize("name", NETS)
def test_answers_images_as_the_simulation_does(name: str, cc: str, tmp_path: Path) -> None:
    net = NETS[name](seed=5)
    written(net, name, tmp_path)
    library = tmp_path / "net.so"
    run(cc, *STRICT, "-O2", "-shared", "-fPIC", "-o", library, tmp_path / f"{name}.c")
    code = ctypes.CDLL(str(library))
    images = integer_nets.images(net, 50)
    found = np.zeros((len(images), net.num_classes), np.int32)
    for image, logits in zip(np.ascontiguousarray(images.transpose(0, 2, 3, 1)), found, strict=True):
        getattr(code, f"{name}_logits")(address(image), address(logits))
    expected = integer_logits(net, images)
    np.testing.assert_array_equal(found, expected)
    first = np.ascontiguousarray(images[0].transpose(1, 2, 0))
    assert getattr(code, f"{name}_class")(address(first)) == expected[0].argmax()


def test_a_wrong_net_fails_its_own_test(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    written(integer_nets.mirrored(), "net", tmp_path)
    file = tmp_path / "net.c"
    text, changed = re.subn(
        r"(bias_0\[12\] = \{\n)(-?\d+)", lambda found: f"{found[1]}{int(found[2]) + 90000}", file.read_text()
    )
    assert changed == 1
    file.write_text(text)
    run("gcc", "-o", tmp_path / "program", file, tmp_path / "net_test.c")
    assert subprocess.run([tmp_path / "program"]).returncode > 0


@pytest.mark.parametrize("name", NETS)
def test_what_it_takes_is_what_the_graph_says_to_the_byte(name: str, tmp_path: Path) -> None:
    if shutil.which("gcc") is None or shutil.which("nm") is None:
        pytest.skip("needs gcc and nm")
    net = NETS[name]()
    source, limits = written(net, name, tmp_path), device_limits(net)
    run("gcc", "-std=c99", "-O1", "-c", "-o", tmp_path / "net.o", tmp_path / f"{name}.c")
    sizes = dict[str, int]()
    for line in run("nm", "-S", tmp_path / "net.o").splitlines():
        match line.split():
            case [_, size, _, symbol]:
                sizes[symbol] = int(size, 16)
            case _:
                pass
    assert limits.activation_bytes == source.arena_bytes <= sizes["arena"] < source.arena_bytes + 4
    assert limits.weight_bytes == sum(size for symbol, size in sizes.items() if re.fullmatch(r"weight_\d+", symbol))
    arrays = re.compile(
        r"(weight|bias|multiplier|shift|padding_value|table|residual_weight)_\d+(_\d+)?|(exp2|log2)_table"
    )
    assert source.constant_bytes == sum(size for symbol, size in sizes.items() if arrays.fullmatch(symbol))
    assert f"{source.constant_bytes} bytes of constants" in source.files[f"{name}.md"]


def test_a_name_that_c_cannot_hold_is_refused() -> None:
    net = integer_nets.mirrored()
    with pytest.raises(ShoestringError, match="'2-nets' cannot name functions in C"):
        c_source(net, "2-nets", integer_nets.images(net, 1))
