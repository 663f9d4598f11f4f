"""What an unfinished run knows can be looked at, and leaves no trace in it."""

import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.errors import RunError


def stopped(recipe, folder, after=8):
    """The folder of a run that was trained for some of its twelve steps; every third is saved."""
    with pytest.raises(tiny.Crash):
        api.train(recipe, folder, device="cpu", progress=tiny.Crashing(after))
    return folder


@pytest.fixture
def gan(tmp_path):
    return stopped(tiny.gan(tiny.write_pictures(tmp_path / "pictures", size=32), ema=(0.9, 0.2)), tmp_path / "run")


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_images_are_those_of_the_last_checkpoint_and_one_is_told_so(gan) -> None:
    heard, before = tiny.Heard(), files_of(gan)
    made = api.sample(gan, 4, device="cpu", progress=heard)
    assert heard.messages == [f"{gan} is not finished: this is after 6 of 12 steps"]
    assert files_of(gan) == before
    torch.testing.assert_close(made, api.sample(gan, 4, device="cpu", ema_decay=0.9))
    assert not made.equal(api.sample(gan, 4, device="cpu", ema_decay=0.2))
    with pytest.raises(RunError, match=r"of decay 0\.7; it has: 0\.9, 0\.2"):
        api.sample(gan, 4, device="cpu", ema_decay=0.7)


def test_what_is_looked_at_is_what_the_training_would_end_with(tmp_path) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures", size=32)
    cut = api.train(tiny.gan(pictures, ema=(0.9,), budget__steps=6), tmp_path / "cut", device="cpu")
    torch.testing.assert_close(
        api.sample(cut.folder, 4, device="cpu"),
        api.sample(stopped(tiny.gan(pictures, ema=(0.9,)), tmp_path / "run"), 4, device="cpu"),
    )


def test_test_is_not_looked_at_before_the_end_and_nothing_else_is_recorded(tmp_path) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures")
    run = stopped(tiny.classifier(pictures), tmp_path / "run")
    with pytest.raises(RunError, match=r"is not finished, and test is looked at once.*--split tune"):
        api.evaluate(run, device="cpu")
    before = files_of(run)
    assert api.evaluate(run, "tune", device="cpu")["accuracy"].n > 0
    assert files_of(run) == before


def test_run_that_has_no_checkpoint_says_how_to_go_on(tmp_path) -> None:
    run = stopped(tiny.classifier(tiny.write_pictures(tmp_path / "pictures")), tmp_path / "run", after=1)
    with pytest.raises(RunError, match="neither weights nor a checkpoint yet; run the same `train` command"):
        api.load(run)
