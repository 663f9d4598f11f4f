"""What a container, cron, a pipe or Windows give to a process: verbs work there, or say in one line what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from shoestring.core.run import Run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a shell and POSIX environments")
BARE = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
AS_NOBODY = """
import pwd, sys
def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = unknown
from shoestring.cli import main
sys.exit(main())
"""


@pytest.fixture
def recipe_file(pictures: Path, tmp_path: Path) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(tiny.toml(tiny.classifier(pictures, budget__steps=2).to_json()))
    return file


def run(
    folder: Path, *words: object, closed: str = "", program: tuple[str, ...] = ("-m", "shoestring"), **changed: str
) -> subprocess.CompletedProcess[bytes]:
    """A verb in a folder, with no environment but what is given, and with some standard streams closed."""
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, *program, *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=BARE | changed, stdin=subprocess.DEVNULL, capture_output=True)
    assert b"Traceback" not in done.stderr + done.stdout, done.stderr.decode(errors="replace")
    return done


@pytest.mark.parametrize(("encoding", "line"), [("ascii", "0.521?0.065"), ("cp1252", "0.521±0.065")])
def test_letters_that_an_encoding_lacks_are_question_marks(encoding: str, line: str, tmp_path: Path) -> None:
    done = run(tmp_path, "show", "cifar100-resnet", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert line in done.stdout.decode(encoding)


def test_names_of_classes_need_no_encoding(pictures: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for part in ("train", "test"):
        for name, class_name in zip(("blue", "red"), ("日本", "Gänse"), strict=True):
            (data / part).mkdir(parents=True, exist_ok=True)
            (data / part / class_name).symlink_to(pictures / part / name)
    recipe = tiny.classifier(pictures, data__path=str(data), data__tune=2, budget__steps=2).to_json()
    (tmp_path / "mine.toml").write_text(tiny.toml(recipe), encoding="utf-8")
    c_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert run(tmp_path, "train", "mine.toml", "--run", "here", PYTHONIOENCODING="latin-1").returncode == 0
    image = next((pictures / "test" / "red").iterdir())
    for changed in (c_locale, {"PYTHONIOENCODING": "latin-1"}):
        done = run(tmp_path, "predict", "here", image, **changed)
        assert done.returncode == 0
        assert b"??" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_cost_nothing(closed: str, recipe_file: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "train", recipe_file, "--run", "here", closed=closed)
    assert done.returncode == 0
    here = Run(tmp_path / "here")
    assert here.report_file.is_file()
    assert here.read_weights()
    assert [record["step"] for record in here.log("train")] == [2]
    assert run(tmp_path, "show", "nothing", closed=closed).returncode == 1


def test_who_has_no_home_and_no_name_can_train_and_predict(recipe_file: Path, pictures: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "train", recipe_file, "--run", "here", program=("-c", AS_NOBODY)).returncode == 0
    image = next((pictures / "test" / "red").iterdir())
    assert b"sees" in run(tmp_path, "predict", "here", image, program=("-c", AS_NOBODY)).stdout


def test_a_report_that_cannot_be_drawn_ends_no_training(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe")
    done = run(tmp_path, "train", recipe_file, "--run", "here")
    assert done.returncode == 0
    assert b"no report: matplotlib, which draws the report, cannot be imported" in done.stderr
    assert b"report  " not in done.stdout
    assert Run(tmp_path / "here").metrics()["tune"]["accuracy"]["n"] == 6
    again = run(tmp_path, "report", "here")
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)


def test_where_nothing_can_be_written_one_line_says_so(recipe_file: Path) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("no folder in which nobody can write")
    done = run(Path("/proc"), "train", recipe_file)
    assert done.returncode == 1
    assert [line for line in done.stderr.decode().splitlines() if "error" in line.lower()] == [
        "error: [Errno 2] No such file or directory: 'runs'"
    ]


@pytest.mark.parametrize("changed", [{"FORCE_COLOR": "1"}, {"NO_COLOR": "1", "CI": "true", "TERM": "dumb"}])
def test_logs_have_lines_without_orders_to_a_terminal(changed: dict[str, str], tmp_path: Path) -> None:
    code = 'from shoestring.cli.display import Display\nwith Display(False).task("work", 2) as step: step(2)'
    done = run(tmp_path, program=("-c", code), **changed)
    assert done.stderr.decode().strip() == "work: 2/2"
