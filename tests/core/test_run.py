import hashlib
import io
import json
import os
import re
import stat
from pathlib import Path

import pytest
import tiny
import torch
from safetensors import safe_open

from shoestring.core.atomic_files import write_atomic
from shoestring.core.budget import Layer
from shoestring.core.checkpoint_chain import broken_links
from shoestring.core.checkpoints import Checkpoints
from shoestring.core.errors import RunError
from shoestring.core.run import Run
from shoestring.core.tensor_files import read_tensors, tensor_bytes

CPU = torch.device("cpu")
LAYERS = [Layer("classifier.0", "Conv2d 3x3", (16, 28, 28), 432, 338_688)]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_was_asked_for_comes_back(tmp_path: Path) -> None:
    run = Run(tmp_path / "a" / "b")
    assert not run.exists()
    run.write_recipe({"name": "x"}, LAYERS, {"seed": [0, 1]})
    assert run.exists()
    assert run.name == "b"
    assert run.read_recipe() == {"name": "x"}
    assert run.layers() == LAYERS
    assert run.read_json("overrides.json") == {"seed": [0, 1]}


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run: it has no recipe.json"):
        Run(tmp_path).read_recipe()
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(RunError, match=r"recipe.json cannot be read .* is .* a complete run\?"):
        Run(tmp_path).read_recipe()
    with pytest.raises(RunError, match=r"layers.json cannot be read"):
        Run(tmp_path).layers()


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(failing: str, tmp_path: Path, monkeypatch) -> None:
    path = write_atomic(tmp_path / "file.json", b"old")

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OSError, match="no space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.json"]


def test_the_content_is_on_disk_before_the_name_points_to_it(tmp_path: Path, monkeypatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted(handle: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "content")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", lambda self, target: (order.append("name"), replace(self, target))[1])
    path = write_atomic(tmp_path / "deep" / "file", b"content")
    assert order == ["folder", "content", "name", "folder"]  # first of the folder that was made
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_log_records_come_back_in_order_and_by_kind(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.log() == []
    train, tune = {"step": 1, "kind": "train", "mean": {"loss": 0.1}}, {"step": 1, "kind": "tune"}
    run.append_log([train, tune])
    run.append_log([{"step": 2, "kind": "train"}])
    assert run.log() == [train, tune, {"step": 2, "kind": "train"}]
    assert run.log("tune") == [tune]


def test_a_torn_last_line_is_left_out_and_rewinding_forgets_it(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.append_log([{"step": step, "kind": "train"} for step in (1, 2, 3)])
    with (tmp_path / "log.jsonl").open("ab") as file:
        file.write(b'{"step": 4, "ki\xff')
    assert [record["step"] for record in run.log()] == [1, 2, 3]
    run.rewind(2)
    run.append_log([{"step": 5, "kind": "train"}])
    assert [record["step"] for record in run.log()] == [1, 2, 5]


def test_two_checkpoints_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.checkpoints.read(tiny.Heard(), CPU) is None
    assert run.checkpoints.last() is None
    for step in (9, 10, 100):
        run.checkpoints.write(step, {"step": step, "weight": torch.full((3,), step / 3)})
    assert [name[:25] for name in names(tmp_path)] == [
        "chain.json",
        "checkpoints/step-00000010",
        "checkpoints/step-00000100",
    ]
    found = run.checkpoints.read(tiny.Heard(), CPU)
    assert found is not None
    assert found["step"] == 100
    assert torch.equal(found["weight"], torch.full((3,), 100 / 3))
    assert run.checkpoints.last() == tmp_path / names(tmp_path)[2]


def test_checkpoints_of_a_cadence_stay_and_the_chain_has_all(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for step in range(5, 65, 5):
        run.append_log([{"step": step, "kind": "train", "mean": {"loss": 1 / step}}])
        run.checkpoints.write(step, {"step": step}, keep=20)
    assert list(run.checkpoints.by_step()) == [20, 40, 55, 60]
    links = run.checkpoints.chain()
    assert [link["step"] for link in links] == list(range(5, 65, 5))
    assert broken_links(links, run.log()) == []
    kept = run.checkpoints.by_step()
    assert all(kept[link["step"]].stem.endswith(link["sha256"][:16]) for link in links if link["step"] > 50)
    edited = [record | {"mean": {"loss": 0.1}} if record["step"] == 30 else record for record in run.log()]
    assert broken_links(links, edited)[0] == "the log up to step 30 is not that of the checkpoint"
    assert "does not follow the one before" in broken_links([*links[:3], *links[4:]], run.log())[0]
    run.rewind(40)
    assert [link["step"] for link in run.checkpoints.chain()] == list(range(5, 45, 5))
    run.checkpoints.write(45, {"step": 45})
    assert broken_links(run.checkpoints.chain(), run.log()) == []


def test_damaged_checkpoints_stay_for_readers_and_are_no_longer_in_the_way_of_a_training(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for step in (500, 1000):
        run.checkpoints.write(step, {"step": step}).write_bytes(b"damaged")
    assert run.checkpoints.read(tiny.Heard(), CPU) is None
    assert len(names(tmp_path)) == 3  # with the chain
    run.rewind(0)
    run.checkpoints.write(200, {"step": 200})
    assert run.checkpoints.read(tiny.Heard(), CPU) == {"step": 200}


def test_half_a_checkpoint_of_a_killed_process_is_no_checkpoint(tmp_path: Path) -> None:
    run, heard = Run(tmp_path), tiny.Heard()
    run.checkpoints.write(1, {"step": 1})
    (tmp_path / "checkpoints" / ".step-00000002-0123456789abcdef.pt.tmp").write_bytes(b"half")
    found = run.checkpoints.read(heard, CPU)
    assert found == {"step": 1}
    assert heard.messages == []


def test_only_the_weights_are_safetensors_at_the_top(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert not run.finished()
    run.write_ema_weights(0.999, {"weight": torch.zeros(2)})
    assert not run.finished()
    run.write_weights({"weight": torch.tensor([1.0, 2.0])[::1]}, {"recipe": "x"})
    assert run.finished()
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["weights.safetensors"]
    assert torch.equal(run.read_weights()["weight"], torch.tensor([1.0, 2.0]))
    assert torch.equal(run.read_weights(0.999)["weight"], torch.zeros(2))
    with pytest.raises(RunError, match=r"0\.5"):
        run.read_weights(0.5)


def test_equal_weights_and_facts_give_equal_bytes_in_whatever_order_they_come(tmp_path: Path) -> None:
    tensors = {name: torch.full((size,), float(size)) for name, size in (("b", 3), ("a", 5), ("Z", 1))}
    facts = {f"fact {index}": "é" * index for index in range(7)}
    one, two = Run(tmp_path / "one"), Run(tmp_path / "two")
    one.write_weights(tensors, facts)
    two.write_weights(dict(reversed(tensors.items())), dict(reversed(facts.items())))
    assert one.weights_file.read_bytes() == two.weights_file.read_bytes()
    with safe_open(one.weights_file, "pt") as file:
        assert file.metadata() == facts
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in tensors.items())
    assert int.from_bytes(one.weights_file.read_bytes()[:8], "little") % 8 == 0


def test_weights_in_another_memory_format_come_back_the_same(tmp_path: Path) -> None:
    weight = torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last)
    Run(tmp_path).write_weights({"weight": weight}, {})
    assert torch.equal(Run(tmp_path).read_weights()["weight"], weight)


def test_measures_or_final_pictures_tell_of_weights_that_were_taken_away(tmp_path: Path) -> None:
    for name, write in (
        ("measured", lambda run: run.write_metrics("test", {"accuracy": {"value": 1}})),
        ("drawn", lambda run: run.write_bytes("samples/pictures.json", b"[]")),
    ):
        run = Run(tmp_path / name)
        run.write_recipe({}, [], {})
        run.append_log([{"step": 1, "kind": "train"}])
        assert not run.finished()
        run.require_weights_kept()
        write(run)
        assert run.finished()
        assert not run.has_weights()
        remedy = f"shoestring train {run.recipe_file} --run {Path('runs', name)}-again"
        for act in (run.require_weights_kept, run.read_weights):
            with pytest.raises(RunError, match=f"not kept.*{re.escape(remedy)}"):
                act()
        run.checkpoints.write(1, {"step": 1})  # from which the same command writes them again
        run.require_weights_kept()
        with pytest.raises(RunError, match="run the same `train` command again"):
            run.read_weights()


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff" * 64], ids=["empty", "short", "header"])
def test_damaged_weights_are_an_error_with_the_path(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"weights.safetensors"):
        Run(tmp_path).read_weights()


def test_weights_of_an_unfinished_run_are_an_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="train"):
        Run(tmp_path).read_weights()


def test_measures_are_added_by_split_and_replaced_by_name(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.metrics() == {}
    run.write_metrics("tune", {"accuracy": {"value": 1}, "loss": {"value": 2}})
    run.write_metrics("test", {"accuracy": {"value": 3}})
    run.write_metrics("tune", {"loss": {"value": 4}})
    expected = {"tune": {"accuracy": {"value": 1}, "loss": {"value": 4}}, "test": {"accuracy": {"value": 3}}}
    assert run.metrics() == expected
    assert json.loads((tmp_path / "metrics.json").read_text()) == expected


def test_what_a_killed_process_was_writing_goes_when_the_next_one_has_the_folder(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.checkpoints.write(1, {"step": 1})
    for file in (
        ".recipe.json.abc12345.unfinished",
        "checkpoints/.step-00000002.pt.abc12345.unfinished",
        ".mine.settings",
    ):
        (run.folder / file).write_bytes(b"half")
    with run.locked(tiny.Heard()):
        assert {name for name in names(run.folder) if "unfinished" in name} == set()
    assert (run.folder / ".mine.settings").is_file()


def test_older_checkpoints_of_a_process_killed_before_it_forgot_them_go_but_those_of_the_cadence_stay(
    tmp_path: Path, monkeypatch
) -> None:
    run = Run(tmp_path)
    monkeypatch.setattr(Checkpoints, "_forget_older", lambda *_: None)  # as if it were killed there every time
    for step in (2, 4, 6, 8):
        run.checkpoints.write(step, {"step": step})
    monkeypatch.undo()
    run.rewind(8, keep=4)
    assert list(run.checkpoints.by_step()) == [4, 6, 8]
    run.rewind(8)
    assert list(run.checkpoints.by_step()) == [6, 8]


def test_a_checkpoint_without_its_link_gets_it_before_training_goes_on(tmp_path: Path) -> None:
    run, whole = Run(tmp_path / "run"), []
    for step in (2, 4):
        run.append_log([{"step": step, "kind": "train"}])
        run.checkpoints.write(step, {"step": step})
        whole = run.checkpoints.chain()
    run.write_json("chain.json", whole[:1])  # as a process leaves it that is killed between the two files
    run.append_log([{"step": 5, "kind": "train"}])
    run.rewind(4)
    assert run.checkpoints.chain() == whole
    assert broken_links(run.checkpoints.chain(), run.log()) == []


@pytest.mark.parametrize(
    "content", [b"no archive", b"", {"step": Path("x")}, [1, 2]], ids=["bytes", "empty", "code", "list"]
)
def test_a_checkpoint_that_is_none_is_an_error_though_its_checksum_is_right(content: object, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    found = content if isinstance(content, bytes) else buffer.getvalue()
    file = write_atomic(tmp_path / f"checkpoints/step-00000001-{hashlib.sha256(found).hexdigest()[:16]}.pt", found)
    with pytest.raises(RunError, match=f"{re.escape(str(file))} is no checkpoint that `train` wrote"):
        Run(tmp_path).checkpoints.read(tiny.Heard(), CPU)


def test_tensors_of_nothing_are_a_file_that_can_be_read(tmp_path: Path) -> None:
    assert read_tensors(write_atomic(tmp_path / "x.safetensors", tensor_bytes({}, {}))) == {}


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("measures.json", {"test": {"accuracy": "high"}}, Run.metrics),
        ("metrics.json", {"test": {"accuracy": {"value": 0.5, "interval": [0.4]}}}, Run.metrics),
        ("environment.json", {"nfe": [1]}, Run.environment),
        ("environment.json", {"sessions": [{"to_step": "3"}]}, Run.environment),
        ("metrics.json", {"test": {"accuracy": [0.5]}}, Run.metrics),
        ("one_call.json", {"test": "all"}, Run.one_call_metrics),
        ("trial.json", {"device": "cpu"}, Run.autotuned),
        ("autotune.json", ["cpu"], Run.autotuned),
        ("log.jsonl", {"step": 1, "kind": "train", "mean": "low"}, Run.log),
        ("log.jsonl", {"step": 1, "kind": "train", "deviation": [1]}, Run.log),
        ("log.jsonl", {"step": 1, "kind": "train", "count": "3"}, Run.log),
        ("environment.json", {"sessions": {}}, Run.environment),
        ("chain.json", [{"step": 1}], lambda run: run.checkpoints.chain()),
        ("overrides.json", {"seed": 1}, Run.overrides),
    ],
)
def test_records_of_another_shape_are_told_by_their_file(name: str, content: object, read, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunError, match=rf"{re.escape(name)} is damaged, or was not written by this program"):
        read(Run(tmp_path))


@pytest.mark.parametrize("content", ["[]", "null", '"x"', "5"])
def test_a_recipe_that_is_none_is_an_error_with_the_path(content: str, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.recipe_file.write_text(content)
    with pytest.raises(RunError, match=r"recipe\.json holds no recipe"):
        run.read_recipe()
