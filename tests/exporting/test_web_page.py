"""The page in a real browser: it answers as the simulation does, and nothing leaves it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shoestring import api
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.image_folder import read_image
from shoestring.exporting.calibration import integer_net
from shoestring.integers.simulation import integer_logits
from shoestring.model.load import load

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def exported(classifier_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the tiny classifier."""
    return api.export(classifier_run.folder, "web", tmp_path_factory.mktemp("export") / "web", force=True)


@pytest.fixture(scope="module")
def page(exported: Path) -> Iterator[Any]:
    """The page, open; its requests are in `page.requested`."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 400, "height": 800})
        opened.requested = []
        opened.complaints = []
        # From the start: Chromium itself cancels a chooser that opens before Playwright asks for them.
        opened.on("filechooser", lambda chooser: None)
        opened.on("request", lambda request: opened.requested.append(request.url))
        opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.on("console", lambda message: message.type == "error" and opened.complaints.append(message.text))
        opened.goto((exported / "index.html").as_uri())
        yield opened
        browser.close()


def test_pictures_get_the_answers_of_the_simulation(page: Any, classifier_run: Run, tmp_path: Path) -> None:
    model = load(classifier_run, "cpu")
    net = integer_net(model, classifier_run, tmp_path, Progress())
    rng = np.random.default_rng(0)
    for number in range(10):
        file = tmp_path / f"{number}.png"
        width, height = rng.integers(5, 60, 2)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(file)
        seen = read_image(file, 8)
        expected = integer_logits(net, seen[None])[0]
        page.evaluate("document.getElementById('took').textContent = ''")
        page.set_input_files("#file", file)
        page.locator("#took", has_text="ms").wait_for()
        pixels = seen.transpose(1, 2, 0).ravel().tolist()
        assert (
            page.evaluate("(pixels) => Array.from(classify(Uint8Array.from(pixels)).logits)", pixels)
            == expected.tolist()
        )
        shown = page.evaluate(
            "Array.from(document.getElementById('seen').getContext('2d').getImageData(0, 0, 8, 8).data)"
        )
        assert np.array_equal(np.reshape(shown, (8, 8, 4))[..., :3], seen.transpose(1, 2, 0))
        assert page.text_content("#answer") == model.recipe.data.classes[int(expected.argmax())]
    assert page.complaints == []


def test_nothing_is_asked_of_a_network(page: Any, exported: Path) -> None:
    requested = [url for url in page.requested if not url.startswith(("data:", "blob:"))]
    assert requested == [(exported / "index.html").as_uri()]


def test_a_file_that_is_no_picture_is_refused(page: Any, tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "words.png")
    page.locator("#answer", has_text="no picture that").wait_for()
    assert page.locator("#classes li").count() == 0


def test_it_fits_a_phone_and_a_keyboard(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.focus("#tab-file")
    with page.expect_file_chooser():
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
