"""The page's JavaScript against what it repeats: the simulation of integer nets, and Pillow's resize."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import integer_nets
import numpy as np
import pytest
from PIL import Image

from shoestring.data.image_reader import fitted
from shoestring.exporting.classifier_page import resizes_tall_pictures_down_first
from shoestring.exporting.html_page import PARTS
from shoestring.integers import integer_file
from shoestring.integers.integer_graph import IntegerNet
from shoestring.integers.simulation import integer_logits

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node.js here: apt-get install nodejs")


def run(tmp_path: Path, script: str, code: str, given: Any) -> Any:
    """What an expression in `given` is in JavaScript, after a script of the page."""
    (tmp_path / "given.json").write_text(json.dumps(given), encoding="utf-8")
    read = "const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
    whole = f"{(PARTS / script).read_text(encoding='utf-8')}\n{read}\nconsole.log(JSON.stringify({code}));"
    (tmp_path / "run.js").write_text(whole, encoding="utf-8")
    with (tmp_path / "given.json").open() as file:
        command = [str(NODE), str(tmp_path / "run.js")]
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("make", [integer_nets.everything, integer_nets.mirrored, integer_nets.digits])
def test_logits_are_those_of_the_simulation(make: Callable[[], IntegerNet], tmp_path: Path) -> None:
    net = make()
    images = integer_nets.images(net, 20)
    content = integer_file.write(net, tmp_path / "net.safetensors").read_bytes()
    pixels = images.transpose(0, 2, 3, 1).reshape(len(images), -1)
    code = (
        "((net) => given.pixels.map((each) => Array.from(integerLogits(net, Uint8Array.from(each)))))"
        "(readIntegerNet(Uint8Array.from(given.net)))"
    )
    found = run(tmp_path, "integer_net.js", code, {"net": list(content), "pixels": pixels.tolist()})
    assert np.array_equal(found, integer_logits(net, images))


def test_pictures_are_resized_as_pillow_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # Larger and smaller, wide and tall, cropped at half pixels, of the right size, and tall enough for the other order.
    sizes = [(32, 32), (33, 32), (32, 33), (31, 47), (47, 31), (63, 64), (64, 64), (90, 61), (9, 17), (5, 3), (30, 99)]
    pictures = [rng.integers(0, 256, (height, width, 3), np.uint8) for width, height in sizes]
    opaque = [np.dstack([each, np.full(each.shape[:2], 255, np.uint8)]).ravel().tolist() for each in pictures]
    code = (
        "given.pictures.map((rgba, place) => "
        "Array.from(fitted(Uint8Array.from(rgba), ...given.sizes[place], 32, given.tallFirst)))"
    )
    given = {"pictures": opaque, "sizes": sizes, "tallFirst": resizes_tall_pictures_down_first()}
    found = run(tmp_path, "resize.js", code, given)
    for picture, size, pixels in zip(pictures, sizes, found, strict=True):
        expected = fitted(Image.fromarray(picture), 32).transpose(1, 2, 0)
        assert np.array_equal(np.reshape(pixels, (32, 32, 3)), expected), size
