"""What a user set for matplotlib changes nothing in a report, and a report changes none of it."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from fake_runs import classifier

from shoestring.core.run import Run
from shoestring.report.page import build

HOSTILE = """
axes.facecolor: black
axes.formatter.use_locale: True
figure.autolayout: True
font.size: 30
lines.marker: x
path.sketch: 1, 100, 2
savefig.bbox: tight
savefig.dpi: 17
svg.fonttype: path
text.usetex: True
"""
CODE = """
import sys
from pathlib import Path
from shoestring.report.page import build
from shoestring.core.run import Run
build([Run(Path(sys.argv[1]))], Path(sys.argv[2]))
import matplotlib
print(matplotlib.rcParams["font.size"], matplotlib.rcParams._get_backend_or_none())
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return classifier(tmp_path_factory.mktemp("runs") / "run", classes=4, steps=1_000)


@pytest.mark.parametrize(
    ("backend", "kept"),
    [("nobody", "None"), ("module://matplotlib_inline.backend_inline", "None"), ("svg", "svg")],
)
def test_backend_settings_and_locale_change_no_byte(backend: str, kept: str, run: Run, tmp_path: Path) -> None:
    expected = build([run], tmp_path / "here.html").read_bytes()
    (tmp_path / "matplotlibrc").write_text(HOSTILE)  # the one of the current folder comes first
    styles = tmp_path / "stylelib"
    styles.mkdir()
    (styles / "torn.mplstyle").write_bytes(b"\xff\xfe")
    changed = {"MPLBACKEND": backend, "MPLCONFIGDIR": str(tmp_path), "LC_ALL": "C", "PYTHONPATH": _path()}
    done = subprocess.run(
        [sys.executable, "-c", CODE, run.folder, tmp_path / "there.html"],
        cwd=tmp_path, env={**os.environ, **changed}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "there.html").read_bytes() == expected
    assert done.stdout.split()[0] == "30.0"
    assert done.stdout.split()[1] in (kept, "module://matplotlib_inline.backend_inline")  # where that is installed
    assert not done.stderr


def test_a_style_in_use_changes_no_byte_and_stays_in_use(run: Run, tmp_path: Path) -> None:
    expected = build([run], tmp_path / "a.html").read_bytes()
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "black", "font.size": 40, "svg.hashsalt": "other"}):
        before = dict(mpl.rcParams)
        assert build([run], tmp_path / "b.html").read_bytes() == expected
        assert dict(mpl.rcParams) == before


def _path() -> str:
    return os.pathsep.join(filter(None, sys.path))
