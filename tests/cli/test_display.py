"""What is shown on a terminal: a real pseudo-terminal of some width, in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shoestring.cli.display import Display
from shoestring.cli.evaluate import show_metrics
from shoestring.metrics.score import GenerativeMetric

pty = pytest.importorskip("pty")  # not on Windows

SETUP = "import sys, time\nfrom shoestring.cli.display import Display\nd = Display(as_json=False)\n"
NESTED = """
with d.task("outer [a] [/b]", 10, "steps") as advance:
    advance(1, loss="0.5 [red]")
    d.say("said [/x] :smile:")
    with d.task("first", 0, "bytes") as first:  # 0: nobody knows how many
        first(5)
        with d.task("second", 0) as second:
            second(7)
            time.sleep(0.3)
    try:
        with d.task("broken", 3) as broken:
            broken(1)
            time.sleep(0.3)
            raise ValueError
    except ValueError:
        d.say("went on")
    advance(9)
with d.task("afterwards", 2, "files") as advance:
    advance(2)
"""


def shown(code: str, columns: int, **environment: str) -> list[str]:
    """The lines that a terminal of so many columns got, later states of the same line as lines of their own."""
    import fcntl
    import struct
    import termios

    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    variables = {**inherited, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    command = [sys.executable, "-c", SETUP + code]
    with subprocess.Popen(command, stdin=there, stdout=there, stderr=there, env=variables) as process:
        os.close(there)
        found = b""
        while part := _read(here):
            found += part
    os.close(here)
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", found.decode())
    assert process.returncode == 0, text
    return [line.rstrip() for line in re.split(r"[\r\n]+", text)]


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize("columns", [30, 80, 200])
def test_tasks_nest_in_one_live_display(columns: int) -> None:
    lines = shown(NESTED, columns)
    assert {"said [/x] :smile:", "went on"} <= set(lines)

    def states(title: str) -> list[str]:
        return [line for line in lines if line.startswith(title)]

    for title, count in (("outer [a] [/b]", "10/10"), ("first", "5/?"), ("second", "7/?"), ("broken", "1/3")):
        assert any(count in line for line in states(title)), title
    last = max(place for place, line in enumerate(lines) if line.startswith("outer"))
    assert "10/10" in lines[last]  # the outermost bar stays, those within it go
    assert not any(line.startswith(("first", "second", "broken")) for line in lines[last:])
    assert "2/2" in states("afterwards")[-1]
    assert any("0.5 [red]" in line for line in states("outer")) == (columns > 60)
    assert max(map(len, lines)) <= columns


def test_an_error_in_the_innermost_task_ends_the_display() -> None:
    code = """
try:
    with d.task("outer", 2), d.task("inner", 2):
        raise RuntimeError("gone")
except RuntimeError as error:
    d.say(f"error: {error}")
with d.task("next", 1) as advance:
    advance(1)
"""
    lines = shown(code, 80)
    assert "error: gone" in lines
    assert any(line.startswith("next") and "1/1" in line for line in lines)


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    lines = shown(NESTED, 80, TERM="dumb")
    assert "outer [a] [/b]: 10/10 steps loss 0.5 [red]" in lines


def test_results_within_a_task_stay_on_standard_output(tmp_path: Path) -> None:
    result = tmp_path / "result.txt"
    code = f"""
sys.stdout = open({str(result)!r}, "w")  # as in `shoestring list > result.txt` on a terminal
with d.task("outer", 2) as advance:
    print("to the file")
    advance(2)
sys.stdout.close()
"""
    lines = shown(code, 80)
    assert result.read_text() == "to the file\n"
    assert not any("to the file" in line for line in lines)


def test_measures_have_significant_digits_and_their_cautions(capsys: pytest.CaptureFixture[str]) -> None:
    tiny = GenerativeMetric(
        0.00002,
        40,
        (-0.00001, 0.0001),
        caution="40 images for 64 dimensions",
        real_baseline=0.00001,
        gap_to_real=0.00001,
    )
    exact = GenerativeMetric(0.0, 40, (-0.0000001, 0.0021), real_baseline=-0.0)
    metrics = {name: score.to_json() for name, score in {"fid_64_clean": tiny, "kid_64_clean": exact}.items()}
    show_metrics(Display(as_json=False), metrics, "test")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "fid 64 clean 2.000e-05 1.000e-05 1.000e-05 -0.00001 to 0.00010 40" in lines
    assert "kid 64 clean 0 0 0.0000 to 0.0021 40" in lines
    assert "fid 64 clean: 40 images for 64 dimensions." in lines


def test_names_are_shown_as_they_are() -> None:
    code = r"""
d.table("Seen [in] the [/a]", ["class [x]", "n"], [["cat [indoor]", "1"], ["cat [/y] :smile:", "2"]])
d.line("runs/[/z]")
d.line("red \x1b[31m and \rover it")
"""
    lines = shown(code, 80)
    text = "\n".join(lines)
    for name in ("Seen [in] the [/a]", "class [x]", "cat [indoor]", "cat [/y] :smile:", "runs/[/z]"):
        assert name in text
    assert "red \N{REPLACEMENT CHARACTER}[31m and \N{REPLACEMENT CHARACTER}over it" in lines
