"""The C source on bare Cortex-M processors in QEMU: M3 takes plain C, M4 and M7 the two products at once."""

import shutil
import subprocess
from pathlib import Path

import integer_nets
import pytest

from shoestring.exporting.c_source import c_source
from shoestring.integers.integer_graph import IntegerNet

HERE = Path(__file__).parent / "cortex_m"
FLAGS = "-mthumb -std=c99 -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib"
CC, QEMU = "arm-none-eabi-gcc", "qemu-system-arm"
BOARDS = {"cortex-m3": "mps2-an385", "cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}
NETS = {"everything": integer_nets.everything, "mirrored": integer_nets.mirrored, "digits": integer_nets.digits}

pytestmark = pytest.mark.skipif(shutil.which(CC) is None or shutil.which(QEMU) is None, reason=f"needs {CC} and {QEMU}")


def built(net: IntegerNet, name: str, cpu: str, folder: Path, main: str | Path, *options: str) -> Path:
    """The program of a net and a main."""
    for file, text in c_source(net, name, integer_nets.images(net, 3)).files.items():
        (folder / file).write_text(text)
    program = folder / "program.elf"
    flags = [f"-mcpu={cpu}", f"-I{folder}", "-T", str(HERE / "memory.ld"), *FLAGS.split()]
    files = folder / f"{name}.c", folder / main, HERE / "startup.c"
    command = [CC, *flags, *options, "-o", str(program), *map(str, files), "-lgcc"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def emulated(program: Path, cpu: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What a program does on a board; its result is the exit status."""
    command = [QEMU, "-M", BOARDS[cpu], "-nographic", "-monitor", "none", "-serial", "none", "-semihosting", *options]
    return subprocess.run([*command, "-kernel", str(program)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("cpu", BOARDS)
@pytest.mark.parametrize("name", NETS)
def test_answers_as_the_simulation_does(name: str, cpu: str, tmp_path: Path) -> None:
    program = built(NETS[name](), name, cpu, tmp_path, f"{name}_test.c")
    done = emulated(program, cpu)
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_products_at_once_take_fewer_instructions(tmp_path: Path) -> None:
    made = integer_nets.Builder((16, 16, 3))
    x = made.convolution("image", 16, (3, 3), padding=(1, 1))
    x = made.convolution(x, 16, (3, 3), padding=(1, 1))
    made.logits(x, 4)
    counts: dict[str, int] = {}
    for cpu in ("cortex-m3", "cortex-m4"):
        program = built(made.net(4), "net", cpu, tmp_path, HERE / "count.c", "-DNET=net", f"-DPIXELS={16 * 16 * 3}")
        counts[cpu] = int(emulated(program, cpu, "-icount", "shift=0").stderr)  # where QEMU's console is
    assert counts["cortex-m4"] < 0.7 * counts["cortex-m3"]
