"""What is shown where nobody asked: bars on a terminal, nothing in a pipe; and values as notebooks show them."""

import io
import sys
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image
from rich.console import Console

import shoestring
from shoestring.core.html import table
from shoestring.core.image_batch import ImageBatch, image_batch
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.live.terminal import TerminalProgress
from shoestring.live.usual import in_notebook, usual_progress


def test_a_terminal_gets_bars_and_a_pipe_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(usual_progress()) is Progress
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert type(usual_progress()) is TerminalProgress
    assert not in_notebook()


def test_the_bar_of_what_goes_on_begins_where_it_stopped() -> None:
    progress = TerminalProgress()
    progress.notes, progress.watched = Console(file=io.StringIO(), force_terminal=True, width=100), True
    with progress.task("training", 10, "steps", start=6) as advance:
        assert progress.bars is not None
        (task,) = progress.bars.tasks
        assert task.completed == 6
        advance(4)
    assert task.finished


def test_what_is_shown_as_html_is_text() -> None:
    shown = table("<b>", ("a&b",), [("<script>", 1234567, 0.123456, None)])
    assert "<script>" not in shown
    assert "&lt;b&gt;" in shown
    assert "1,234,567" in shown
    assert "0.1235" in shown


def test_a_recipe_a_layer_table_and_a_run_are_tables(pictures: Path, tmp_path: Path) -> None:
    recipe = tiny.classifier(pictures)
    assert "budget.parameters" in recipe._repr_html_()
    layers = shoestring.layers(recipe)
    assert f"{sum(layer.parameters for layer in layers):,}" in layers._repr_html_()
    run = Run(tmp_path / "run")
    assert "no run yet" in run._repr_html_()
    run.write_recipe(recipe.to_json(), layers, {})
    assert "not finished" in run._repr_html_()
    run.write_metrics("tune", {"accuracy": {"value": 0.51234, "interval": [0.4, 0.6], "n": 6}, "loss": {"value": 1.0}})
    assert run.layers() == layers
    shown = run._repr_html_()
    assert "finished" in shown
    assert "0.5123" in shown
    assert "0.4 – 0.6" in shown


def test_images_are_a_tensor_and_a_picture() -> None:
    plain = torch.arange(2 * 3 * 3 * 4 * 4).reshape(2, 3, 3, 4, 4).to(torch.uint8)
    images = image_batch(plain)
    assert torch.equal(images, plain)
    assert type(images + 1) is torch.Tensor
    assert type(images[0]) is ImageBatch
    assert type(images[0, 0]) is torch.Tensor
    picture = Image.open(io.BytesIO(images._repr_png_()))
    zoom = 600 // (3 * 6)
    assert picture.size == (zoom * (3 * 6 - 2), zoom * (2 * 6 - 2))  # three in a row, two pixels apart
    assert Image.open(io.BytesIO(images[0]._repr_png_())).size[0] > 0
    assert images[0][:0]._repr_png_() is None
    assert images[0][:, :2]._repr_png_() is None
