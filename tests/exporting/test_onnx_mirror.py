"""An ONNX file of mirrored kernels holds one of each pair, and answers as the model."""

from pathlib import Path

import numpy as np
import pytest
import torch

import shoestring
from shoestring.exporting.exportable import exportable
from shoestring.exporting.onnx_file import run_onnx, write_onnx

onnx = pytest.importorskip("onnx", reason="the extra is not installed: pip install 'shoestring[onnx]'")
for module in ("onnxscript", "onnxruntime"):
    pytest.importorskip(module, reason="the extra is not installed: pip install 'shoestring[onnx]'")


def test_mirrored_kernels_are_there_once(tmp_path: Path) -> None:
    model = shoestring.load("cifar100-best-small", device="cpu")
    found, file = exportable(model), tmp_path / "net.onnx"
    write_onnx(found, file, {})
    graph = onnx.load(file).graph
    floats = sum(int(np.prod(each.dims)) for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT)
    assert floats < sum(parameter.numel() for parameter in found.trained.parameters()) + 500  # biases of twins
    batch = found.draw(20)
    assert torch.allclose(run_onnx(file, found.inputs)(batch), found.reference(batch), atol=1e-4)
