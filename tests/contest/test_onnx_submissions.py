"""Nets of one's own as ONNX: every number in the file counts, wherever it is; nothing else runs it than onnxruntime."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from shoestring import api
from shoestring.contest.check import Checked, check
from shoestring.contest.onnx_graph import read_onnx
from shoestring.core.errors import RunError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.recipes.rules import Rules

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

WEIGHTS = 3 * 8 * 8 * 3


@pytest.fixture(scope="module")
def in_force(pictures: Path) -> Rules:
    limits = {"parameters": 2_000, "steps": 12}
    data = {"kind": "folder", "path": str(pictures), "size": 8}
    return Rules.from_json({"name": "tiny", "classifier": limits, "data": data}, "here")


def linear(file: Path, *more: Any, logits: str = "products", initializers: tuple[Any, ...] = ()) -> Path:
    """A linear classifier of 8 x 8 images, with further nodes."""
    weights = torch.linspace(-1, 1, WEIGHTS).view(192, 3).numpy()
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["products"]),
        *more,
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info(logits, TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weights, "weights"), *initializers],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(file))
    return file


@pytest.fixture
def judge(in_force: Rules, tmp_path: Path):
    def run(path: Path) -> Checked:
        return check(path, in_force, 2, tmp_path, Progress())

    return run


def caught(found: Checked) -> dict[str, str]:
    return {one.name: one.reason for one in found.findings if one.verdict == "failed"}


def test_a_packed_onnx_passes_with_its_record(classifier_run: Run, in_force: Rules, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    file = api.pack(classifier_run.folder, tmp_path / "mine.onnx")
    found = check(file, in_force, 3, tmp_path, Progress())
    assert found.verdict == "passed", caught(found)
    assert found.correct is not None
    assert found.correct.shape == (15,)


def test_one_without_record_is_measured_and_its_training_not_decided(judge, tmp_path: Path) -> None:
    found = judge(linear(tmp_path / "bare.onnx"))
    assert found.verdict == "not decided"
    assert {one.name for one in found.findings if one.verdict == "not decided"} == {"claims", "steps"}
    assert found.measured.metric is not None
    assert found.measured.metric.n == 15


@pytest.mark.parametrize("place", ["tensor", "list", "text", "branch", "initializer"])
def test_weights_in_constants_count(judge, tmp_path: Path, place: str) -> None:
    table = numpy_helper.from_array(torch.zeros(1_500).numpy(), "table")
    if place == "tensor":
        nodes = [helper.make_node("Constant", [], ["spare"], value=table)]
    elif place == "list":
        nodes = [helper.make_node("Constant", [], ["spare"], value_floats=[0.5] * 1_500)]
    elif place == "text":
        nodes = [helper.make_node("Constant", [], ["spare"], value_strings=[b"x" * 6_000])]
    elif place == "branch":
        inner = helper.make_graph(
            [helper.make_node("Constant", [], ["spare"], value=table)],
            "inner",
            [],
            [helper.make_tensor_value_info("spare", TensorProto.FLOAT, [1_500])],
        )
        condition = helper.make_node(
            "Constant", [], ["yes"], value=helper.make_tensor("yes", TensorProto.BOOL, [], [True])
        )
        nodes = [condition, helper.make_node("If", ["yes"], ["spare"], then_branch=inner, else_branch=inner)]
    else:
        nodes = []
    file = linear(tmp_path / "cheat.onnx", *nodes, initializers=(table,) if place == "initializer" else ())
    assert read_onnx(file).parameters >= WEIGHTS + 1_500
    assert "where a classifier is allowed 2,000" in caught(judge(file))["limits"]


def test_other_operators_and_other_files_are_refused(judge, tmp_path: Path) -> None:
    noise = helper.make_node("RandomNormal", [], ["noise"], shape=[3])
    own = helper.make_node("Own", ["products"], ["own"], domain="mine")
    said = caught(judge(linear(tmp_path / "cheat.onnx", noise, own)))["form"]
    assert "RandomNormal" in said
    assert "mine.Own" in said
    away = numpy_helper.from_array(torch.zeros(3).numpy(), "away")
    away.ClearField("raw_data")
    away.data_location = TensorProto.EXTERNAL
    away.external_data.add(key="location", value="elsewhere.bin")
    assert "other files" in caught(judge(linear(tmp_path / "away.onnx", initializers=(away,))))["form"]


def test_answers_that_depend_on_the_batch_are_refused(judge, tmp_path: Path) -> None:
    axes = numpy_helper.from_array(torch.tensor([0]).numpy(), "axes")
    mean = helper.make_node("ReduceMean", ["products", "axes"], ["mean"], keepdims=1)
    less = helper.make_node("Sub", ["products", "mean"], ["centred"])
    found = judge(linear(tmp_path / "cheat.onnx", mean, less, logits="centred", initializers=(axes,)))
    assert "when others are in its batch" in caught(found)["measured"]


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(RunError, match="cannot be read as ONNX"):
        read_onnx(tmp_path / "no.onnx")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of processor time")
def test_a_loop_without_end_is_ended_by_the_limit_of_its_process(in_force: Rules, tmp_path: Path) -> None:
    one, yes = (
        numpy_helper.from_array(torch.tensor(value).numpy(), name) for value, name in ((1, "one"), (True, "yes"))
    )
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["still"]), helper.make_node("Add", ["sum", "one"], ["more"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.INT64, []),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["", "yes", "one"], ["turns"], body=body),
        helper.make_node("Cast", ["turns"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["products", "number"], ["logits"]),
    ]
    file = linear(tmp_path / "loop.onnx", *nodes, logits="logits", initializers=(one, yes))
    asked = {"path": str(file), "rules": in_force.model_dump(mode="json"), "level": 2, "data_folder": str(tmp_path)}
    asked |= {"folder": str(tmp_path), "samples": None, "inception": None, "memory": 4 * 2**30, "seconds": 6}
    words = [sys.executable, "-m", "shoestring.contest.worker", json.dumps(asked)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode in (-signal.SIGXCPU, -signal.SIGKILL), done.stderr
    assert (tmp_path / "doing.txt").read_text() == "evaluating on test"
    assert not (tmp_path / "check.json").exists()


def test_one_that_wants_more_memory_than_there_is_gives_no_answers(judge, tmp_path: Path) -> None:
    shape = numpy_helper.from_array(torch.tensor([2**29, 2**29]).numpy(), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["large"]),
        helper.make_node("ReduceMax", ["large"], ["most"], keepdims=0),
        helper.make_node("Add", ["products", "most"], ["logits"]),
    ]
    found = judge(linear(tmp_path / "large.onnx", *nodes, logits="logits", initializers=(shape,)))
    assert "it gives no answers to judge: onnxruntime cannot run it" in caught(found)["measured"]
