"""What the page of a generator does around its net: seeds, walks, solvers; and the whole in a real browser."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.errors import ExportError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.exporting import export as exporting
from shoestring.exporting import generator_page
from shoestring.exporting.exportable import exportable, sampler
from shoestring.exporting.float_tracing import float_program
from shoestring.exporting.html_page import part
from shoestring.model.generator import Generator
from shoestring.model.interpolation import great_circle
from shoestring.model.load import load

NODE = shutil.which("node")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_node = pytest.mark.skipif(NODE is None, reason="no Node.js here: apt-get install nodejs")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "COMPARED", 20)


@pytest.fixture(scope="module")
def flow_run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a tiny flow, whose answers are not all zero."""
    changes = {
        "name": "tiny-flow",
        "net": {"kind": "unet", "width": 16, "depths": (1, 1, 1), "embedding": 8, "attention": 8},
        "task": {"kind": "flow", "sampling": {"steps": 3, "solver": "multistep", "guidance": 2.0}},
        "anneal": {},
        "budget": {"parameters": 60_000, "steps": 12, "nfe": 12},
        "optimiser__learning_rate": 0.05,
    }
    return api.train(tiny.gan(pictures, **changes), tmp_path_factory.mktemp("runs") / "flow", device="cpu")


def in_javascript(code: str, given: Any, tmp_path: Path) -> Any:
    """What a promise of an expression in `given` becomes, after the page's scripts."""
    (tmp_path / "given.json").write_text(json.dumps(given), encoding="utf-8")
    (tmp_path / "run.js").write_text(
        f"{part('float_net.js')}\n{part('sample.js')}\n"
        "const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));\nconst facts = given.facts;\n"
        f"({code}).then((found) => console.log(JSON.stringify(found)));"
    )
    with (tmp_path / "given.json").open() as file:
        done = subprocess.run([str(NODE), tmp_path / "run.js"], stdin=file, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@needs_node
def test_seeds_are_normal_numbers_of_their_own(tmp_path: Path) -> None:
    found = torch.tensor(
        in_javascript("Promise.all([0, 1, 9999].map((s) => Array.from(normals(s, 20000))))", {}, tmp_path)
    )
    again = in_javascript("Promise.resolve(Array.from(normals(1, 5)))", {}, tmp_path)
    assert found[1, :5].tolist() == pytest.approx(again)
    assert found.mean(1).abs().max() < 0.03
    assert (found.std(1) - 1).abs().max() < 0.02
    assert ((found**4).mean(1) - 3).abs().max() < 0.25
    assert (torch.corrcoef(found) - torch.eye(3)).abs().max() < 0.03
    assert (found[:, 1:] * found[:, :-1]).mean(1).abs().max() < 0.03


@needs_node
def test_walks_are_great_circles(tmp_path: Path) -> None:
    start, end = torch.randn(2, 7, generator=torch.Generator().manual_seed(0))
    code = "Promise.resolve(given.weights.map((each) => greatCircle(given.start, given.end, each)))"
    weights = [0.0, 0.3, 1.0]
    found = in_javascript(code, {"start": start.tolist(), "end": end.tolist(), "weights": weights}, tmp_path)
    expected = torch.stack([great_circle(start, end, torch.tensor(each)) for each in weights])
    assert torch.allclose(torch.tensor(found), expected, atol=1e-5)
    same = in_javascript(code, {"start": start.tolist(), "end": start.tolist(), "weights": [0.5]}, tmp_path)
    assert torch.allclose(torch.tensor(same), start, atol=1e-6)


@needs_node
@pytest.mark.parametrize(
    "how", [{"solver": "multistep"}, {"solver": "heun", "interval": (0.1, 10.0)}, {"solver": "euler"}]
)
def test_a_flow_makes_the_models_pictures(how: dict[str, Any], flow_run: Run, tmp_path: Path) -> None:
    model = load(flow_run, "cpu")
    assert isinstance(model, Generator)
    model = model.with_sampling({**how, "steps": 4})
    found = exportable(model)
    program = float_program(found.net, found.draw(1), found.inputs, "tiny")
    graph, numbers = program.rounded(12).packed()
    latents, labels = model.latents(3, seed=5), torch.tensor([2, 0, 1])
    channels, height, width = latents.shape[1:]
    given = {
        "facts": {"image": [height, width, channels]},
        "graph": graph,
        "numbers": list(numbers),
        "sampler": sampler(found),
        "latents": latents.flatten(1).tolist(),
        "labels": labels.tolist(),
    }
    code = (
        "((program) => Promise.all(given.latents.map(async (latent, k) => Array.from("
        "await pictureOf(program, given.sampler, latent, given.labels[k], async () => true)))))"
        "(readProgram(given.graph, Uint8Array.from(given.numbers)))"
    )
    pixels = torch.tensor(in_javascript(code, given, tmp_path)).view(3, height, width, channels).permute(0, 3, 1, 2)
    expected = model.decode(latents, Progress(), labels).int()
    assert expected.float().std() > 10
    assert (pixels - expected).abs().max() <= 2  # of 255: weights of 12 bits


@needs_node
def test_what_is_no_longer_wanted_stops(flow_run: Run, tmp_path: Path) -> None:
    found = exportable(load(flow_run, "cpu"))
    code = (
        "(async () => { let calls = 0; const program = null;"
        "const made = await pictureOf(program, given, [0], 0, async () => { calls += 1; return false; });"
        "return [made, calls]; })()"
    )
    assert in_javascript(code, sampler(found), tmp_path) == [None, 1]


def test_a_page_too_large_has_fewer_bits_and_is_refused_at_last(
    gan_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = api.export(gan_run.folder, "web", tmp_path / "web")
    record = json.loads((folder / "export.json").read_text())
    assert record["weight_bits"] == 12
    assert record["parity"]["by"] == "image"
    assert 0 < record["parity"]["largest"] < 0.05
    size = (folder / "index.html").stat().st_size
    monkeypatch.setattr(generator_page, "LARGEST", size - 1)
    record = json.loads((api.export(gan_run.folder, "web", tmp_path / "less") / "export.json").read_text())
    assert 8 <= record["weight_bits"] < 12
    monkeypatch.setattr(generator_page, "LARGEST", 1000)
    with pytest.raises(ExportError, match=r"with 8 bits a weight; 1,000 are allowed\. .* --to onnx"):
        api.export(gan_run.folder, "web", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_is_too_far_off_is_not_written(gan_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE_TOLERANCE", 1e-9)
    with pytest.raises(ExportError, match=r"the page does not answer as tiny-gan does: .* image \d+"):
        api.export(gan_run.folder, "web", tmp_path / "web")
    assert not list(tmp_path.iterdir())


@needs_browser
@pytest.mark.parametrize("kind", ["gan", "flow"])
def test_the_page_in_a_browser(kind: str, gan_run: Run, flow_run: Run, tmp_path: Path) -> None:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    run = gan_run if kind == "gan" else flow_run
    page_file = api.export(run.folder, "web", tmp_path / "web") / "index.html"
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 400, "height": 800}, color_scheme="dark")
        requested: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.goto(page_file.as_uri())
        for use in uses(page, kind):
            use()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert complaints == []
        assert [url for url in requested if not url.startswith("blob:")] == [page_file.as_uri()]
        browser.close()


def uses(page: Any, kind: str) -> Iterator[Any]:
    """What people do, each with what must come of it."""

    def shown() -> list[int]:
        code = "Array.from(document.getElementById('picture').getContext('2d').getImageData(0, 0, 32, 32).data)"
        return page.evaluate(code)

    def until(condition: str) -> None:
        # Not page.wait_for_function, whose eval the page's content security policy forbids.
        for _ in range(2000):
            if page.evaluate(condition):
                return
            page.wait_for_timeout(10)
        raise AssertionError(condition)

    whole = "document.querySelectorAll('.strip canvas.made').length === 9"

    def first() -> None:
        until(whole)
        assert len(set(shown())) > 3
        expected = page.evaluate(
            "pictureOf(program, facts.sampler, normals(0, count), 0, async () => true).then((made) => Array.from(made))"
        )
        assert [value for place, value in enumerate(shown()) if place % 4 < 3] == expected

    def keyboard() -> None:
        before = shown()
        page.focus("#from")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        until(f"seedOf('from') === 1 && {whole}")
        assert shown() != before

    def along() -> None:
        page.locator(".strip button").nth(8).click()
        until("document.getElementById('walk').value === '80'")
        at_end = shown()
        page.fill("#from", "1")
        page.fill("#to", "1")
        page.keyboard.press("Enter")
        until(whole)
        assert shown() == at_end  # both ends are seed 1

    def played() -> None:
        page.fill("#to", "7")
        page.keyboard.press("Enter")
        until(whole)
        page.click("#play")
        until("Number(document.getElementById('walk').value) < 80")
        page.click("#play")
        assert page.text_content("#play") == "Play"

    def classes() -> None:
        assert page.is_visible("#class") == (kind == "flow")
        if kind == "flow":
            before = shown()
            page.select_option("#class", "red")
            until(whole)
            assert shown() != before

    yield from (first, keyboard, along, played, classes)
