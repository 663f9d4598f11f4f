"""The command line as users and scripts meet it, called in this process; what signals do is tested in a process."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

from shoestring import api
from shoestring.cli.main import main, set_wait_policy, target_place
from shoestring.core.run import Run
from shoestring.data.addnist import AddNIST
from shoestring.recipes import RECIPES


@pytest.fixture
def say(capsys, tmp_path, monkeypatch):
    """Runs a command in an empty folder: (exit status, standard output, error stream)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOESTRING_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def tell(say):
    """Runs a command with --json that succeeds: the one object it wrote."""

    def run(*words: object) -> dict:
        status, out, err = say(*words, "--json")
        assert (status, "Traceback" in err) == (0, False), err
        assert out.endswith("\n")
        assert len(out.splitlines()) == 1
        found = json.loads(out)
        assert isinstance(found, dict)
        return found

    return run


@pytest.fixture
def recipe_file(pictures: Path, tmp_path: Path) -> Path:
    """The tiny classifier as a file, as a user would write it."""
    file = tmp_path / "mine.toml"
    file.write_text(tiny.toml(tiny.classifier(pictures).to_json()))
    return file


def test_list_has_every_recipe_with_its_facts(tell, say) -> None:
    rows = {row["recipe"]: row for row in tell("list")["recipes"]}
    assert set(rows) == set(RECIPES)
    row = rows["addnist-effnet"]
    assert (row["task"], row["data"], row["parameters"], row["budget"]) == ("classify", "addnist", 98_720, 100_000)
    assert (row["steps"], row["published"]) == (10_000, 0.941)
    assert row["measured"]["n"] == 10_000
    assert 0.9 < row["measured"]["accuracy"] < 1
    assert rows["cifar100-dcgan-44"]["parameters"] == 998_553
    status, out, _ = say("list")
    assert status == 0
    for text in ("addnist-effnet", "98,720", "94.1 %", "FID 50.283"):
        assert text in out


def test_show_has_parameters_table_and_what_is_left(tell, say) -> None:
    found = tell("show", "cifar100-resnet")
    assert found["parameters"] == 99_364
    assert found["parameters_left"] == 636
    assert found["budget"]["steps"] == 10_000
    assert sum(layer["parameters"] for layer in found["layers"]) == 99_364
    assert sum(layer["multiply_adds"] for layer in found["layers"]) == found["multiply_adds"]
    assert found["recipe"] == RECIPES["cifar100-resnet"]().to_json()
    _, out, _ = say("show", "cifar100-resnet")
    assert "99,364 parameters of 100,000: 636 left." in out
    assert "32x32x32" in out


def test_show_takes_overrides_and_files(tell, recipe_file: Path) -> None:
    assert tell("show", recipe_file)["parameters"] == 1_157
    changed = tell("show", recipe_file, "--net.stem", 5, "--seed", 5)
    assert changed["parameters"] > 1_157
    assert (changed["recipe"]["net"]["stem"], changed["recipe"]["seed"]) == (5, 5)
    assert tell("show", "--device", "cpu", recipe_file)["parameters"] == 1_157  # options may come first


def test_train_evaluate_predict_and_report(tell, recipe_file: Path, pictures: Path, tmp_path: Path) -> None:
    done = tell("train", recipe_file, "--run", "here", "--budget.steps", 6, "--device", "cpu")
    assert (done["finished"], done["steps"], done["parameters"], done["run"]) == (True, 6, 1_157, "here")
    assert [path.name for path in (tmp_path / "here").glob("*.safetensors")] == ["weights.safetensors"]
    assert Path(done["report"]) == Path("here") / "report.html"
    assert done["metrics"]["tune"]["accuracy"]["n"] == 6
    assert len(Run(tmp_path / "here").log("train")) > 0

    found = tell("evaluate", "here")
    accuracy = found["accuracy"]
    assert (found["target"], found["split"], accuracy["n"]) == ("here", "test", 15)
    low, high = accuracy["interval"]
    assert 0 <= low <= accuracy["value"] <= high <= 1
    assert tell("evaluate", "here", "--split", "tune")["accuracy"]["n"] == 6

    picture = pictures / "test" / "red" / "00.png"
    (seen,) = tell("predict", "here", picture, "--top", 2)["predictions"]
    assert seen["image"] == str(picture)
    assert len(seen["classes"]) == 2
    assert seen["classes"][0]["probability"] >= seen["classes"][1]["probability"]

    page = Path(tell("report", "here", "--out", "page.html")["report"])
    assert page == tmp_path / "page.html"
    assert "<!DOCTYPE html>" in page.read_text(encoding="utf-8")


def test_the_run_s_default_folder_is_name_and_fingerprint(tell, recipe_file: Path, tmp_path: Path) -> None:
    done = tell("train", recipe_file, "--budget.steps", 1)
    recipe = api.located(api.recipe(recipe_file, budget={"steps": 1}))
    assert done["run"] == f"runs/tiny-classifier-{recipe.fingerprint()}"
    assert Run(tmp_path / done["run"]).finished()


def test_people_get_words_and_scripts_get_nothing_else_on_standard_output(say, recipe_file: Path) -> None:
    status, out, err = say("train", recipe_file, "--run", "here", "--budget.steps", 2)
    assert status == 0
    assert "Measured on tune" in out
    assert "accuracy" in out
    assert "report  " in out
    assert "tiny-classifier: 2/2 steps" in err  # the last step is always told


def test_sample_and_interpolate_write_grids(tell, gan_run: Run, tmp_path: Path) -> None:
    found = tell("sample", gan_run.folder, "--count", 64, "--out", "grid.png", "--seed", 0)
    assert Path(found["file"]) == tmp_path / "grid.png"
    assert found["count"] == 64
    assert (tmp_path / "grid.png").read_bytes() == (gan_run.pictures / "samples.png").read_bytes()
    tell("interpolate", gan_run.folder, "--out", "paths.png")
    assert (tmp_path / "paths.png").read_bytes() == (gan_run.pictures / "interpolations.png").read_bytes()
    tell("sample", gan_run.folder, "--count", 5, "--columns", 3, "--out", "few.png")
    with Image.open(io.BytesIO((tmp_path / "few.png").read_bytes())) as image:
        assert image.size == (2 * (3 * 34 - 2), 2 * (2 * 34 - 2))


def test_sampling_out_of_order_is_refused_in_the_options_terms(say) -> None:
    for words, message in (
        (("--sampling.steps", 60), "a sample takes 120 net calls, 20 over the budget of 100. Take fewer steps"),
    ):
        for verb in ("sample", "evaluate"):
            status, _, err = say(verb, "cifar100-flow-quick", *words)
            assert status == 1
            assert message in err
            assert "--budget" not in err


def test_promote_changes_how_a_run_samples(say, tell, gan_run: Run, tmp_path: Path) -> None:
    mine = Run(tmp_path / "mine")
    shutil.copytree(gan_run.folder, mine.folder)
    found = tell("promote", "mine", "--sampling.pixel-ascent-steps", 0, "--sampling.pixel-ascent-step-size", 0.5)
    assert (found["run"], found["ema_decay"]) == (str(mine.folder), None)
    assert found["sampling"] == mine.read_recipe()["task"]["sampling"]
    assert found["sampling"]["pixel_ascent_step_size"] == 0.5
    status, _, err = say("promote", "mine")
    assert status == 0
    assert "mine has these weights and answers in this way already" in err


def test_a_net_over_budget_is_refused_with_its_table(say, recipe_file: Path, tmp_path: Path) -> None:
    status, out, err = say("train", recipe_file, "--budget.parameters", 1_000, "--run", "here", "--json")
    assert (status, out) == (1, "")
    assert "the net has 1,157 parameters, 157 over the budget of 1,000" in err
    assert "classifier.3.2" in err
    assert "--budget.parameters 1157" in err
    assert not (tmp_path / "here").exists()
    status, _, _ = say("show", recipe_file, "--net.stem", 40)
    assert status == 1


def test_a_published_budget_gives_way_only_to_its_own_override(say, tell, tmp_path: Path, monkeypatch) -> None:
    wide = ("train", "addnist-quick", "--net.width", 24, "--budget.steps", 1, "--batch-size", 8, "--run", "wide")
    assert say(*wide)[0] == 1
    assert not (tmp_path / "wide").exists()
    # The whole of the embedded test digits would take long: a part will do.
    load = AddNIST.load
    monkeypatch.setattr(AddNIST, "load", lambda *words: _part(load(*words)))
    found = tell(*wide, "--budget.parameters", 200_000)
    assert found["parameters"] > 100_000
    overrides = Run(tmp_path / "wide").read_json("overrides.json")
    assert overrides["budget.parameters"] == [100_000, 200_000]
    assert overrides["net.width"] == [RECIPES["addnist-quick"]().net.width, 24]


def _part(images):
    return type(images)(images.images[:100], images.labels[:100], images.source)


def test_a_folder_of_another_recipe_is_refused(say, classifier_run: Run, recipe_file: Path) -> None:
    status, out, err = say("train", recipe_file, "--run", classifier_run.folder, "--seed", 9)
    assert (status, out) == (1, "")
    assert "seed is 0 there, 9 now" in err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["train", "addnist-quik"], 1, "did you mean 'addnist-quick'? A recipe file ends in .toml or .json."),
        (["train", "addnist-quick", "--budget.stepps", "3"], 2, "--budget.steps"),
        (["train", "addnist-quick", "--optimiser.learning-rat", "3"], 2, "--optimiser.learning-rate"),
        (["train", "addnist-quick", "--batch-size", "ten"], 2, "--batch-size"),
        (["train", "addnist-quick", "--budget.steps", "0"], 2, "greater than 0"),
        (["train", "addnist-quick", "--seed", "-1"], 1, "seed: Input should be greater than or equal to 0"),
        (["train", "mine.toml"], 1, "there is no recipe file mine.toml"),
        (["train"], 2, "NAME_OR_FILE"),
        (["train", "addnist-quick", "--device", "cud"], 1, "--device cud"),
        (["evaluate", "nothing"], 1, "unknown run or shipped model 'nothing'"),
        (["evaluate", "addnist-effnet", "--split", "validation"], 2, "--split"),
        (["evaluate", "addnist-quick"], 1, "shoestring train addnist-quick"),
        (["sample", "addnist-effnet"], 1, "cannot make them"),
        (["sample", "cifar100-dcgan-44", "--out", "x.jpg"], 1, "end the name in .png"),
        (["sample", "cifar100-dcgan-44", "--count", "0"], 1, "--count 0: give a whole number of at least 1"),
        (["interpolate", "cifar100-dcgan-44", "--pairs", "-2"], 1, "--pairs -2"),
        (["predict", "addnist-effnet"], 1, "name at least one picture"),
        (["predict", "addnist-effnet", "nothing.png"], 1, "nothing.png"),
        (["predict", "cifar100-dcgan-44", "nothing.png"], 1, "cannot classify them"),
        (["sample", "cifar100-gan-best", "--refinements", "3"], 1, "is called --sampling.pixel-ascent-steps now"),
        (["sample", "cifar100-gan", "--sampling.step_size=3"], 1, "called --sampling.pixel-ascent-step-size now"),
        (["sample", "cifar100-gan", "--latent-steps", "3"], 2, "--latent-steps is gone: latent vectors take no"),
        (["sample", "cifar100-gan", "--sampling.langevin-steps=0"], 2, "--sampling.langevin-steps is gone: latent"),
        (["sample", "cifar100-gan", "--sampling.temperature", "1"], 2, "--sampling.temperature is gone"),
        (["sample", "cifar100-flow-quick", "--steps=9"], 1, "--steps is called --sampling.steps now"),
        (["evaluate", "cifar100-best", "--average", "0.9"], 1, "--average is called --ema-decay now"),
        (["adopt", "runs/mine"], 1, "adopt is called promote now"),
        (["report"], 1, "name at least one run"),
        (["report", "nothing"], 1, "unknown run"),
        (["report", "."], 1, ". is a folder but holds no run"),
        (["report", "addnist-effnet", "--out", "x.pdf"], 1, "end the name in .html"),
        (["interpolate", "cifar100-dcgan-44", "--steps", "1"], 1, "--steps 1: give a whole number of at least 2"),
        (["predict", "cifar100-resnet", "."], 1, "is a folder, not an image"),
        (["speed", "--compare", "cifar100-bst"], 1, "name a recipe right after the verb: shoestring speed NAME"),
        (["frobnicate"], 2, "frobnicate"),
        (["sample", "cifar100-dcgan-44", "--count", "1", "--out", "/dev/null/x.png"], 1, "/dev/null"),
    ],
)
def test_errors_are_one_message_without_a_traceback(words: list[str], status: int, message: str, say) -> None:
    found, out, err = say(*words)
    assert found == status
    assert message in err
    assert "Traceback" not in err
    assert out == ""


def test_damaged_weights_are_one_message(say, classifier_run: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.write_recipe(classifier_run.read_recipe(), classifier_run.layers(), {})
    run.weights_file.write_bytes(b"nothing")
    status, _, err = say("evaluate", "run")
    assert status == 1
    assert "weights.safetensors is damaged" in err


def test_help_lists_typed_overrides_with_meaning_and_default(say) -> None:
    status, out, _ = say("train", "addnist-quick", "--help")
    assert status == 0
    for text in ("--budget.steps INT", "Optimisation steps of the training", "--optimiser.learning-rate FLOAT"):
        assert text in out
    default = f"Images per step. (default: {RECIPES['addnist-quick']().batch_size})"
    for text in (default, "--run", "--data-folder", "--json"):
        assert text in out
    status, out, _ = say("--help")
    assert status == 0
    status, out, _ = say("train", "--help")
    assert status == 0
    assert "--recipe" not in out


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("train x", 1),
        ("train x --run y", 1),
        ("train --json x", 2),
        ("train --run x y", 3),
        ("train --run=x y", 2),
        ("train --run x", None),
        ("speed --compare cifar100-best --timed-steps 2", 2),
        ("show --net.widths 16 32 48 cifar100-best", 5),
        ("train --run addnist-effnet cifar100-best", 3),
        ("train --engine.deterministic mine.toml", 2),
        ("show --json cifar100-bst", 2),
        ("train --help", None),
        ("train", None),
        ("", None),
    ],
)
def test_where_the_recipe_is_named(words: str, place: int | None) -> None:
    assert target_place(words.split()) == place


def test_lines_for_logs_are_few_and_always_have_the_last(monkeypatch, capsys) -> None:
    from shoestring.cli import display
    from shoestring.live import terminal

    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    shown = display.Display(as_json=True)
    with shown.task("short", 1_000, "steps") as advance:
        for _ in range(1_000):
            advance(1)
    assert capsys.readouterr().err.splitlines() == ["short: 1,000/1,000 steps"]
    with shown.task("long", 100, "steps") as advance:
        for _ in range(100):
            now[0] += 1.0
            advance(1, loss="0.5")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"long: {done}/100 steps loss 0.5" for done in range(5, 101, 5)]
    with shown.task("resumed", 100, "steps", start=50) as advance:
        now[0] += 10
        advance(1)
        now[0] += 10
        advance(4)
        now[0] += 1
        advance(5)  # due, but too soon
    assert capsys.readouterr().err.splitlines() == ["resumed: 55/100 steps"]
    with shown.task("empty", 0) as advance:
        advance(0)


def test_a_stop_by_the_keyboard_outside_a_training_is_quiet(say, monkeypatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "sample", stop)
    assert say("sample", "cifar100-dcgan-44") == (130, "", "stopped\n")


def test_results_do_not_depend_on_torch_s_global_state(tell, gan_run: Run, tmp_path: Path) -> None:
    torch.manual_seed(1)
    tell("sample", gan_run.folder, "--count", 2, "--out", "a.png")
    torch.manual_seed(2)
    tell("sample", gan_run.folder, "--count", 2, "--out", "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_speed_tells_where_the_time_goes_and_how_long_the_budget_takes(tell, say, recipe_file: Path) -> None:
    facts = tell("speed", recipe_file, "--timed-steps", 3, "--engine.threads", 1)
    assert facts["recipe"] == "tiny-classifier"
    assert (facts["steps_timed"], facts["machine"]["threads"], facts["budget_steps"]) == (3, 1, 12)
    assert facts["budget_seconds"] == pytest.approx(12 * facts["milliseconds"] / 1e3)
    assert facts["images_per_second"] == pytest.approx(8e3 / facts["milliseconds"])
    assert sum(facts["parts_milliseconds"].values()) > 0
    status, out, _ = say("speed", recipe_file, "--timed-steps", 2, "--compare", "--engine.threads", 1)
    assert status == 0
    assert all(word in out for word in ("images a second", "GFLOP/s", "12 steps take", "backward", "bfloat16"))
    status, _, err = say("speed", recipe_file, "--timed-steps", 0)
    assert status == 1
    assert "timed" in err


@pytest.mark.parametrize(
    ("load", "asked", "policy"), [(0.0, None, None), (64.0, None, "PASSIVE"), (64.0, "ACTIVE", "ACTIVE")]
)
def test_threads_sleep_while_they_wait_only_where_the_cores_are_busy(load, asked, policy, monkeypatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if asked:
        monkeypatch.setenv("OMP_WAIT_POLICY", asked)
    set_wait_policy()
    assert os.environ.get("OMP_WAIT_POLICY") == policy
