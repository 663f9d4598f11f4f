"""Hand-made cheats: each is caught by what it cannot help showing, or named as what cannot be decided."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from forgery import Change, forged

from shoestring import api
from shoestring.contest.check import Checked, check
from shoestring.contest.finding import Level
from shoestring.core.packed import pack
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.core.tensor_files import tensor_bytes
from shoestring.recipes.rules import Rules, rules

NET = "import pathlib\npathlib.Path({!r}).touch()\nWEIGHTS = [{}]\nclass Net: pass\n"


@pytest.fixture(scope="module")
def in_force(pictures: Path) -> Rules:
    limits = {"parameters": 2_000, "steps": 12}
    data = {"kind": "folder", "path": str(pictures), "size": 8}
    return Rules.from_json({"name": "tiny", "classifier": limits, "data": data}, "here")


@pytest.fixture
def judge(in_force: Rules, tmp_path: Path):
    """Checks what lies at a path."""

    def run(path: Path, level: Level = 3, given: Rules = in_force, **options: Any) -> Checked:
        return check(path, given, level, tmp_path, Progress(), device="cpu", seed=0, **options)

    return run


def caught(found: Checked) -> dict[str, str]:
    """The reasons of what failed, by what it is."""
    return {one.name: one.reason for one in found.findings if one.verdict == "failed"}


def test_an_honest_submission_passes_every_level_as_file_and_as_run(classifier_run: Run, judge, tmp_path: Path) -> None:
    file = tmp_path / "honest.safetensors"
    file.write_bytes(pack(classifier_run))
    found = judge(file)
    assert found.verdict == "passed", caught(found)
    assert {one.level for one in found.findings} == {1, 2, 3}
    assert any("--level 4" in sentence for sentence in found.not_shown)
    whole = judge(classifier_run.folder, 4)
    assert whole.verdict == "passed", caught(whole)
    replayed = [one.reason for one in whole.findings if one.level == 4]
    assert len(replayed) == 3  # steps 0 to 9, 9 to 12, and the weights
    assert all("are equal" in reason for reason in replayed)
    assert judge(file, 4).verdict == "not decided"  # a file brings no checkpoints


def hide_in_a_tensor(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    tensors["classifier.hidden"] = torch.zeros(1_500)


def double_the_bits(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    name = next(iter(tensors))
    tensors[name] = tensors[name].double()


def claim_a_smaller_net(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    record["files"]["recipe.json"]["net"]["widths"] = [2, 2]


def claim_fewer_parameters(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    record["files"]["layers.json"] = record["files"]["layers.json"][:2]


def train_for_longer(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    record["log"].append(record["log"][-1] | {"step": 40})


def polish_the_log(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    for one in record["log"]:
        one["mean"] = {name: 0.5 * value for name, value in one["mean"].items()}


def drop_a_bad_stretch(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    first = next(place for place, one in enumerate(record["log"]) if one["kind"] == "train")
    del record["log"][first]


def claim_another_rate(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    record["files"]["recipe.json"]["optimiser"]["learning_rate"] = 0.02


def forge_metrics(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    record["files"]["metrics.json"]["test"] = {"accuracy": {"value": 0.99, "n": 15, "interval": [0.98, 1.0]}}


def claim_other_images(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    record["files"]["recipe.json"]["data"] |= {"size": 16}


def train_on_test(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    splits = record["files"]["splits.json"]
    splits["train"]["images"] = splits["train"]["images"] + splits["test"]["images"]


CHEATS: list[tuple[Change, str, str]] = [
    (hide_in_a_tensor, "net", "classifier.hidden"),
    (double_the_bits, "net", "not of type F32"),
    (claim_a_smaller_net, "net", "not those of the net"),
    (claim_fewer_parameters, "claims", "parameters, the file has"),
    (train_for_longer, "limits", "steps: 40, where a classifier is allowed 12"),
    (polish_the_log, "chain", "the log up to step 3 is not that of the checkpoint"),
    (drop_a_bad_stretch, "log", "steps 1 to"),
    (claim_another_rate, "numbers", "its schedule has"),
    (forge_metrics, "measured", "but 99.00% is claimed"),
    (claim_other_images, "limits", "data.size: 16, where 8 is asked for"),
    (train_on_test, "images", "it was trained on 15 of the test images"),
]


@pytest.mark.parametrize(("change", "name", "reason"), CHEATS, ids=lambda value: getattr(value, "__name__", None))
def test_a_cheat_is_caught(classifier_run: Run, judge, tmp_path: Path, change: Change, name: str, reason: str) -> None:
    found = judge(forged(classifier_run, tmp_path / "cheat.safetensors", change))
    assert found.verdict == "failed"
    assert reason in caught(found)[name]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("environment.json", []),
        ("layers.json", [3]),
        ("metrics.json", {"train": {"accuracy": 3}}),
        ("chain.json", [{"step": "many"}]),
        ("recipe.json", {"task": "win", "net": 7}),
    ],
)
def test_a_record_that_makes_no_sense_fails_and_nothing_else(
    classifier_run: Run, judge, tmp_path: Path, file: str, content: Any
) -> None:
    def garble(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        record["files"][file] = content

    found = judge(forged(classifier_run, tmp_path / "garbled.safetensors", garble))
    assert found.verdict == "failed"
    assert set(caught(found)) <= {"record", "recipe", "claims", "limits"}


def test_one_that_forgets_the_hashes_is_caught_by_them(classifier_run: Run, judge, tmp_path: Path) -> None:
    file = forged(classifier_run, tmp_path / "cheat.safetensors", polish_the_log, careful=False)
    assert caught(judge(file, 1)) == {"claims": "the log is not what was packed"}


def test_code_is_never_run(classifier_run: Run, judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither that of a net with its source, allowed or not, nor that in a pickle."""
    mark = tmp_path / "was run"
    text = NET.format(str(mark), ", ".join(["0.5"] * 5_000))

    def bring_code(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        record["files"]["recipe.json"]["net"] = {"kind": "net.py:Net", "source": "0" * 64}
        record["source"] = {"net.py": text}

    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(text)
    found = judge(forged(classifier_run, tmp_path / "code.safetensors", bring_code))
    assert "parameters: 6,313" in caught(found)["limits"]  # constants in code count
    undecided = {one.name: one.reason for one in found.findings if one.verdict == "not decided"}
    assert "net net.py:Net is not of this package and is not run" in undecided["net"]
    assert "handed in as ONNX" in undecided["measured"]

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (mark,)

    for name in ("cheat.safetensors", "cheat.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
        assert set(caught(judge(tmp_path / name))) == {"form"}
    assert not mark.exists()


def test_weights_of_another_training_are_caught_by_replay(classifier_run: Run, judge, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(classifier_run.folder, tmp_path / "run")))
    tensors = {name: tensor * 1.01 for name, tensor in run.read_weights().items()}
    run.write_weights(tensors, {"step": "12"})
    found = judge(run.folder, 4)
    assert "weights of the last checkpoint" in caught(found)["replay"]


def test_hidden_training_between_checkpoints_is_caught_by_replay_on_the_same_processor_only(
    classifier_run: Run, judge, tmp_path: Path
) -> None:
    run = Run(Path(shutil.copytree(classifier_run.folder, tmp_path / "run")))
    (path,) = [path for step, path in run.checkpoints.by_step().items() if step == 12]
    saved = torch.load(path, weights_only=True)
    name = next(iter(saved["nets"]))
    saved["nets"][name] = saved["nets"][name] + 1e-6
    path.unlink()
    run.write_json("chain.json", [link for link in run.checkpoints.chain() if link["step"] < 12])
    run.checkpoints.write(12, saved)  # a chain that holds
    found = judge(run.folder, 4)
    assert [one.verdict for one in found.findings if one.name == "chain"] == ["passed"]
    assert "steps 9 to 12: 1 of" in caught(found)["replay"]
    environment = run.environment()
    environment["machine"]["processor"] = "another"
    run.write_json("environment.json", environment)
    elsewhere = judge(run.folder, 4)
    assert not caught(elsewhere)
    assert any("bits are only promised on the same processor" in one.reason for one in elsewhere.findings)


def test_a_checkpoint_that_was_exchanged_is_caught_by_the_chain(classifier_run: Run, judge, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(classifier_run.folder, tmp_path / "run")))
    for path in run.checkpoints.by_step().values():
        path.write_bytes(path.read_bytes() + b" ")
    assert "is not the one in the chain" in caught(judge(run.folder, 4))["checkpoints"]


def test_a_run_without_a_checkpoint_or_a_machine_is_not_decided(classifier_run: Run, judge, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(classifier_run.folder, tmp_path / "run")))
    shutil.rmtree(run.folder / "checkpoints")
    found = judge(run.folder, 4)
    assert found.verdict == "not decided"
    assert not caught(found)


def test_a_generator_is_held_against_its_own_limits(gan_run: Run, judge, tmp_path: Path) -> None:
    file = tmp_path / "gan.safetensors"
    file.write_bytes(pack(gan_run))
    assert judge(file, 1, rules()).verdict == "passed"
    assert "no generator is admitted" in caught(judge(file, 1))["limits"]


def test_files_that_are_none(judge, tmp_path: Path) -> None:
    bare = tmp_path / "bare.safetensors"
    bare.write_bytes(tensor_bytes({"w": torch.zeros(2)}, {}))
    assert "packed" in caught(judge(bare))["form"]
    (tmp_path / "folder").mkdir()
    assert set(caught(judge(tmp_path / "folder"))) == {"form"}


def test_the_command_tells_and_ends_with_the_verdict(
    classifier_run: Run, in_force: Rules, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from shoestring.cli.main import main

    (tmp_path / "rules.json").write_text(json.dumps(in_force.model_dump(mode="json")))
    cheat = forged(classifier_run, tmp_path / "cheat.safetensors", polish_the_log)
    words = ["check", str(classifier_run.folder), str(cheat), "--rules", str(tmp_path / "rules.json")]
    assert main([*words, "--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)["submissions"]
    assert (first["verdict"], second["verdict"]) == ("passed", "failed")
    assert first["measured"]["n"] == 15
    assert main(["check", str(classifier_run.folder), "--level", "1"]) == 0
    assert "not shown" in capsys.readouterr().out
    assert api.check(classifier_run.folder, level=1).verdict == "passed"
    assert main(["check"]) == 1
