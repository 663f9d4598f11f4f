import pytest
import tiny

from shoestring import api
from shoestring.training.loop import Stopped


def test_the_watch_of_a_training_is_told_every_look_and_may_stop_it(pictures, tmp_path):
    told: list[tuple[int, dict[str, float]]] = []

    def watch(step, measures):
        told.append((step, dict(measures)))
        return step == 4

    recipe = tiny.classifier(pictures, cadence__evaluate=2)
    with pytest.raises(Stopped, match="after step 4; everything is saved"):
        api.train(recipe, tmp_path / "run", device="cpu", watch=watch)
    assert [step for step, _ in told] == [2, 4]
    assert all(set(measures) == {"loss", "accuracy"} for _, measures in told)
    run = api.train(recipe, tmp_path / "run", device="cpu", watch=lambda step, _: told.append((step, {})) or step == 12)
    assert [step for step, _ in told] == [2, 4, 6, 8, 10, 12]  # the last step is not stopped any more
    whole = api.train(recipe, tmp_path / "whole", device="cpu")
    assert run.weights_file.read_bytes() == whole.weights_file.read_bytes()
    assert [r["mean"] for r in run.log("tune")] == [r["mean"] for r in whole.log("tune")]
