"""The leaderboard in a real browser: it sorts by any column, by numbers where these are, and asks for nothing."""

import shutil
from pathlib import Path

import pytest

from shoestring.report.leaderboard import build

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")


def row(name: str, rank: int | None, value: float | None, parameters: int) -> dict:
    measured = None if value is None else {"value": value, "n": 100, "interval": [value - 0.01, value + 0.01]}
    fixed = {"kind": "classifier", "metric": "accuracy", "steps": 5, "above": None, "tied": None, "seconds": 1.5}
    verdict = "failed" if rank is None else "passed"
    finding = {"level": 1, "name": "form", "verdict": verdict, "reason": "<script>alert(1)</script>"}
    return fixed | {"name": name, "rank": rank, "verdict": verdict, "measured": measured, "parameters": parameters,
                    "findings": [finding]}  # fmt: skip


def test_a_click_sorts_and_another_one_turns_it_round(tmp_path: Path) -> None:
    rows = [row("best", 1, 0.9, 9_000), row("second", 2, 0.8, 80_000), row("third", 3, 0.7, 700)]
    rules = {"name": "tiny", "classifier": {"parameters": 100_000, "steps": 5}, "generator": None}
    board = {"rules": rules, "submissions": [*rows, row("broken", None, None, 5)]}
    file = build(board, {}, tmp_path / "index.html")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(file.as_uri())

        def names() -> list[str]:
            return page.locator("#board tbody th").all_text_contents()

        assert names() == ["best", "second", "third", "broken"]
        head = page.locator("#board thead th", has_text="parameters")
        head.locator("button").click()
        assert names() == ["broken", "third", "best", "second"]
        assert head.get_attribute("aria-sort") == "ascending"
        head.locator("button").click()
        assert names() == ["second", "best", "third", "broken"]
        page.locator("#board thead th", has_text="result").locator("button").click()
        assert names() == ["third", "second", "best", "broken"]  # what has no result stays last
        page.locator("#board thead th", has_text="submission").locator("button").focus()
        page.keyboard.press("Enter")
        assert names() == ["best", "broken", "second", "third"]
        browser.close()
    assert asked == [file.as_uri()]
    assert complaints == []
