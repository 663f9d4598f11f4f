"""Does the C of trained classifiers answer as the simulation does, on real images, whatever compiles and runs it?

    python benchmarks/exported_c.py cifar100-best addnist-best

On this machine every compiler that is there (gcc, clang) builds it with warnings as errors and, where it can, with
-fsanitize=address,undefined, and it answers 1,000 test images. In QEMU its own test vectors run on Cortex-M3, M4 and
M7, and instructions of an image are counted. Needs gcc or clang; for Cortex-M Debian's gcc-arm-none-eabi and
qemu-system-arm. Exit status 1 where a logit differs.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from conditions import conditions

from shoestring.core.progress import Progress
from shoestring.data.paths import resolve_data_folder
from shoestring.exporting.c_source import CSource, c_source
from shoestring.exporting.calibration import integer_net
from shoestring.integers.simulation import integer_logits
from shoestring.model.load import load, open_run
from shoestring.model.run_splits import load_split

CORTEX_M = Path(__file__).parents[1] / "tests" / "exporting" / "cortex_m"
BOARDS = {"cortex-m3": "mps2-an385", "cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
MAIN = """#include <stdio.h>
#include "{name}.h"
int main(void)
{{
    static uint8_t image[{pixels}];
    static int32_t logits[{classes}];
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {{
        {name}_logits(image, logits);
        fwrite(logits, 1, sizeof logits, stdout);
    }}
    return 0;
}}
"""


def main() -> None:
    """Prints a line for each compiler and processor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="RUN_OR_NAME")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [row for name in given.names for row in checked(name, given.images)]
    if given.json:
        print(json.dumps(conditions() | {"rows": rows}, indent=1))
    else:
        for row in rows:
            print(*(f"{key} {value}" for key, value in row.items()), sep=", ")
    sys.exit(any(row["wrong"] for row in rows))


def checked(target: str, count: int) -> list[dict[str, Any]]:
    """What each compiler and processor makes of one model."""
    run, folder = open_run(target), resolve_data_folder(None)
    model = load(run, "cpu")
    net = integer_net(model, run, folder, Progress())
    images = load_split(model.recipe, run, "test", folder, Progress()).images[:count].numpy()
    expected = integer_logits(net, images)
    name = re.sub(r"\W", "_", run.name)
    source = c_source(net, name, images[:4])
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        for file, text in source.files.items():
            (here / file).write_text(text)
        (here / "main.c").write_text(MAIN.format(name=name, pixels=images[0].size, classes=net.num_classes))
        pixels = images.transpose(0, 2, 3, 1).tobytes()
        rows = [
            on_host(here, name, compiler, pixels, expected) for compiler in ("gcc", "clang") if shutil.which(compiler)
        ]
        if shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm"):
            rows += [on_board(here, name, source, images[0].size, cpu) for cpu in BOARDS]
    return [{"net": run.name} | row for row in rows]


def on_host(here: Path, name: str, compiler: str, pixels: bytes, expected: Any) -> dict[str, Any]:
    """The answers to images, under sanitizers where the compiler has them."""
    files = [here / f"{name}.c", here / "main.c"]
    build = [compiler, *STRICT, "-o", here / "program", *files]
    sanitized = subprocess.run([*build, *SANITIZED], capture_output=True).returncode == 0
    if not sanitized:
        subprocess.run(build, check=True)
    done = subprocess.run([here / "program"], input=pixels, capture_output=True, check=True)
    found = np.frombuffer(done.stdout, "<i4").reshape(expected.shape)
    wrong = int((found != expected).any(1).sum())
    return {"by": compiler, "sanitized": sanitized, "images": len(expected), "wrong": wrong}


def on_board(here: Path, name: str, source: CSource, pixels: int, cpu: str) -> dict[str, Any]:
    """The test vectors, and the instructions of an image, in QEMU."""
    flags = [f"-mcpu={cpu}", "-mthumb", "-std=c99", "-O2", "-ffreestanding", "-nostdlib", f"-I{here}"]
    flags += ["-T", str(CORTEX_M / "memory.ld")]

    def ran(main: Path, *options: str, count: bool = False) -> subprocess.CompletedProcess[str]:
        files = [str(here / f"{name}.c"), str(main), str(CORTEX_M / "startup.c")]
        subprocess.run(["arm-none-eabi-gcc", *flags, *options, "-o", here / "program.elf", *files, "-lgcc"], check=True)
        board = ["qemu-system-arm", "-M", BOARDS[cpu], "-nographic", "-monitor", "none", "-serial", "none"]
        board += ["-semihosting", *(["-icount", "shift=0"] if count else []), "-kernel", str(here / "program.elf")]
        return subprocess.run(board, capture_output=True, text=True)

    wrong = ran(here / f"{name}_test.c").returncode
    counted = ran(CORTEX_M / "count.c", f"-DNET={name}", f"-DPIXELS={pixels}", count=True)
    subprocess.run(["arm-none-eabi-gcc", *flags[:4], "-c", "-o", here / "net.o", here / f"{name}.c"], check=True)
    size = subprocess.run(["arm-none-eabi-size", here / "net.o"], capture_output=True, text=True, check=True)
    text = int(size.stdout.splitlines()[1].split()[0])
    return {
        "by": cpu,
        "instructions": int(counted.stderr),
        "code_and_constants": text,
        "arena": source.arena_bytes,
        "wrong": wrong,
    }


if __name__ == "__main__":
    main()
