"""A model as one ONNX file: opset 18, any batch size, no names of files or functions of this machine inside."""

import json
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shoestring.core.errors import ExportError
from shoestring.exporting.exportable import Exportable, Inputs
from shoestring.exporting.onnx_mirror import hold_once

OPSET = 18
EXTRA = "pip install 'shoestring[onnx]'"


def need(*modules: str) -> list[Any]:
    """Modules of the extra `onnx`.

    Raises:
        ExportError: One is not installed.
    """
    try:
        return [import_module(module) for module in modules]
    except ImportError as error:
        raise ExportError(f"ONNX needs {error.name or modules[0]}, which is not installed: {EXTRA}") from error


def write_onnx(found: Exportable, file: Path, facts: dict[str, Any]) -> None:
    """Writes the net as an ONNX file, weights inside, with the facts as JSON under the metadata key "shoestring".

    Args:
        found: The model.
        file: Where to.
        facts: What its user must know, such as class names.

    Raises:
        ExportError: The extra is missing, or the net has an operation that ONNX does not know.
    """
    onnx, _ = need("onnx", "onnxscript")
    # Two images: the exporter takes a size of 1 for one that is always 1.
    example, batch = found.draw(2), torch.export.Dim("batch")
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch about its own exporter
            program: Any = torch.onnx.export(
                found.net,
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(found.inputs),
                output_names=[found.output],
                dynamic_shapes=tuple({0: batch} for _ in example),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # whatever the exporter raises about a net of the user's own
        raise refused(found.model.recipe.name, "ONNX", error) from error
    model = program.model_proto
    hold_once(onnx, model.graph)
    _strip(model, facts)
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())


def _strip(model: Any, facts: dict[str, Any]) -> None:
    """Leaves only what is needed to compute: no stack traces, no shapes that can be inferred, no traces of torch."""
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for part, field in ((graph, "value_info"), (graph, "metadata_props"), (model, "metadata_props")):
        part.ClearField(field)
    model.producer_name, model.producer_version = "shoestring", ""
    entry = model.metadata_props.add()
    entry.key, entry.value = "shoestring", json.dumps(facts, separators=(",", ":"))


def run_onnx(file: Path, inputs: tuple[str, ...]) -> Callable[[Inputs], Tensor]:
    """What onnxruntime answers with a file, on one thread.

    Args:
        file: The ONNX file.
        inputs: Names of its inputs, in the order of a batch.

    Raises:
        ExportError: The extra is missing.
    """
    (runtime,) = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def answer(batch: Inputs) -> Tensor:
        given = {name: each.numpy() for name, each in zip(inputs, batch, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return answer


def refused(name: str, form: str, error: Exception) -> ExportError:
    """The error of a net that an exporter of torch cannot hold, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ExportError(
        f"the net of {name} cannot leave as {form}: {lines[0] if lines else type(error).__name__}. "
        "What its `forward` does must be traceable by torch.export: no branches on values of tensors, no numpy"
    )
