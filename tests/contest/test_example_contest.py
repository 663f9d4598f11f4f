"""The contest in examples/: its five submissions graded as its page says; the two that cheat are caught."""

from pathlib import Path

import pytest

from shoestring import api
from shoestring.recipes.lookup import recipe
from shoestring.recipes.rules import rules

HOME = Path(__file__).parents[2] / "examples" / "contest"


@pytest.mark.skipif(not HOME.is_dir(), reason="installed without examples")
def test_the_examples_are_ranked_and_the_cheats_named(tmp_path: Path) -> None:
    board = api.grade(HOME / "submissions", HOME / "rules.toml", tmp_path / "board")
    rows = {row.name.removesuffix(".safetensors"): row for row in board.rows}
    assert set(rows) == {"ada", "emmy", "grace", "heavy", "lucky"}
    assert {name for name, row in rows.items() if row.rank is not None} == {"ada", "emmy", "grace"}
    assert [row.found["verdict"] for row in board.rows] == ["passed"] * 3 + ["failed"] * 2
    assert any("97.00% is claimed" in reason for reason in rows["lucky"].reasons)
    assert any("classifier.spare" in reason for reason in rows["heavy"].reasons)
    assert (tmp_path / "board" / "index.html").is_file()


def test_the_starter_keeps_the_rules() -> None:
    assert rules(HOME / "rules.toml").departures(recipe(HOME / "starter.toml")) == []
