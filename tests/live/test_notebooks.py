"""Notebooks in a kernel of their own: the examples run, training is seen, and interrupting it saves."""

import json
from pathlib import Path
from typing import Any

import pytest

from shoestring.core.run import Run

nbformat = pytest.importorskip("nbformat", reason="the extra notebook is not installed")
nbclient = pytest.importorskip("nbclient", reason="the extra notebook is not installed")
pytest.importorskip("ipykernel", reason="the extra notebook is not installed")

EXAMPLES = Path(__file__).parents[2] / "examples"
INTERRUPTED = """
import os, pathlib, signal, threading, time
import shoestring

def interrupt():
    log = pathlib.Path("run/log.jsonl")
    while not log.is_file() or not log.stat().st_size:  # until steps were taken
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)  # what a notebook's stop button does

threading.Thread(target=interrupt, daemon=True).start()
recipe = shoestring.recipe("addnist-quick", budget={"steps": 2000}, cadence={"log": 2})
shoestring.train(recipe, run="run", device="cpu")
"""


def executed(notebook: Any, folder: Path, **options: Any) -> list[Any]:
    """The outputs of each code cell, run in a folder."""
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, **options
    )
    client.execute()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def shown(outputs: Any, kind: str) -> list[str]:
    """What of a kind a cell shows."""
    return [one.data[kind] for one in outputs if "data" in one and kind in one.data]


def test_the_tutorial_runs_and_shows_tables_curves_and_pictures(tmp_path: Path) -> None:
    text = (EXAMPLES / "tutorial.ipynb").read_text(encoding="utf-8")
    assert json.loads(text)["cells"][1]["outputs"] == []
    assert '\\"steps\\": 600' in text
    short = text.replace('\\"steps\\": 600}', '\\"steps\\": 4}, cadence={\\"log\\": 1}')
    recipe, layers, train, accuracy, images, classes = executed(nbformat.reads(short, 4), tmp_path)
    assert "batch_size" in shown(recipe, "text/html")[0]
    assert "multiply-adds" in shown(layers, "text/html")[0]
    *live, run = shown(train, "text/html")
    (curves,) = [html for html in live if "<polyline" in html]
    assert "tutorial" in curves
    assert 'value="4" max="4"' in curves  # the last state of the bar stays
    assert "runs/tutorial" in run
    assert "accuracy" in run
    assert "4000" in shown(accuracy, "text/plain")[0]
    assert shown(images, "image/png")
    assert len(json.loads(shown(classes, "text/plain")[0].replace("'", '"'))) == 16
    assert Run(tmp_path / "runs" / "tutorial").finished()


def test_interrupting_the_kernel_saves_and_says_so_without_a_traceback(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(INTERRUPTED)])
    (outputs,) = executed(notebook, tmp_path, allow_errors=True)
    (error,) = [one for one in outputs if one.output_type == "error"]
    assert error.ename == "Interrupted"
    assert len(error.traceback) == 1
    assert "The same call again goes on from there." in error.traceback[0]
    saved = Run(tmp_path / "run").checkpoints.last()
    assert saved is not None
    assert f"after step {int(saved.stem.split('-')[1]):,};" in error.traceback[0]


@pytest.fixture(autouse=True)
def _its_own_ipython(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
