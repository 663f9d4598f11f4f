"""The forms that a model leaves in: what writes each, and what then answers for it."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.exporting.c_source import c_source
from shoestring.exporting.calibration import integer_net
from shoestring.exporting.classifier_page import write_classifier_page
from shoestring.exporting.exportable import Exportable, Inputs, sampler
from shoestring.exporting.generator_page import write_generator_page
from shoestring.exporting.onnx_file import OPSET, run_onnx, write_onnx
from shoestring.exporting.parity import compare
from shoestring.exporting.qdq_file import write_qdq
from shoestring.exporting.torch_program import run_torch, write_torch
from shoestring.integers import integer_file
from shoestring.integers.integer_graph import IntegerNet
from shoestring.integers.limits import device_limits
from shoestring.integers.simulation import integer_logits

SIMULATED = 200
"""Images on which a runtime's int8 is compared with the simulation."""
TEST_VECTORS = 4
"""Images in the test beside the C file."""


@dataclass(frozen=True)
class Asked:
    """What is to be written.

    Attributes:
        found: The model.
        run: Its run.
        folder: Where its files go.
        data_folder: Where data lies.
        progress: Reports everything that takes time.
    """

    found: Exportable
    run: Run
    folder: Path
    data_folder: Path
    progress: Progress


@dataclass(frozen=True)
class Written:
    """A form on the disk.

    Attributes:
        files: Its files, the one that holds the net first.
        answer: What the net in it answers to a batch.
        runtime: What `probe` runs it with; None where Python has nothing that does.
        packages: Python packages that had a part in it.
        integers: The net, where it was quantised.
        rounded: Whether weights were rounded in a net whose activations were not.
        facts: What else is worth recording, as plain JSON values.
    """

    files: tuple[Path, ...]
    answer: Callable[[Inputs], Tensor]
    runtime: str | None = None
    packages: tuple[str, ...] = ()
    integers: IntegerNet | None = None
    rounded: bool = False
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Writer:
    """One form.

    Attributes:
        words: What is made, in a sentence: "the ONNX file".
        write: Makes it.
    """

    words: str
    write: Callable[[Asked], Written]


def meaning(found: Exportable) -> dict[str, Any]:
    """What a user of the net must know, as plain JSON values: inputs, output, classes, what goes before and around."""
    recipe = found.model.recipe
    inputs = [
        {"name": name, "dtype": str(each.dtype).removeprefix("torch."), "shape": list(each.shape[1:])}
        for name, each in zip(found.inputs, found.draw(2), strict=True)
    ]
    facts: dict[str, Any] = {
        "name": recipe.name,
        "kind": found.kind,
        "inputs": inputs,
        "output": found.output,
        "classes": list(recipe.data.classes),
    }
    if found.kind == "classifier":
        channels, height, _ = recipe.data.shape
        facts["preprocessing"] = (
            f"8-bit {'RGB' if channels == 3 else 'grey'} as it is, 0..255, channels first; the shorter side resized to "
            f"{height} pixels by Pillow's bicubic filter, with antialiasing, and the centre kept."
        )
    else:
        facts["sampler"] = sampler(found)
    return facts


def _onnx(asked: Asked) -> Written:
    file = asked.folder / "model.onnx"
    write_onnx(asked.found, file, meaning(asked.found))
    answer = run_onnx(file, asked.found.inputs)
    return Written((file,), answer, "onnx", ("onnx", "onnxscript", "onnxruntime"), facts={"opset": OPSET})


def _torch(asked: Asked) -> Written:
    file = asked.folder / "model.pt2"
    write_torch(asked.found, file)
    return Written((file,), run_torch(file), "torch")


def _int8(asked: Asked) -> Written:
    net = _quantised(asked)
    return _integers(net, integer_file.write(net, asked.folder / "model.int8.safetensors.gz"))


def _onnx_int8(asked: Asked) -> Written:
    net, file = _quantised(asked), asked.folder / "model.int8.onnx"
    write_qdq(net, file, meaning(asked.found))
    answer, simulation = run_onnx(file, asked.found.inputs), _integers(net)
    images = asked.found.draw(SIMULATED)
    beside = compare(answer(images), simulation.answer(images), None, "made-up inputs", classify=True)
    facts = simulation.facts | {"opset": OPSET, "simulation": beside.to_json()}
    return Written((file,), answer, "onnx", ("onnx", "onnxruntime"), net, facts=facts)


def _c(asked: Asked) -> Written:
    net = _quantised(asked)
    (images,) = asked.found.draw(TEST_VECTORS)
    name = re.sub(r"\W", "_", asked.found.model.recipe.name, flags=re.ASCII)
    source = c_source(net, name if name[:1].isalpha() else f"net_{name}", images.numpy())
    files: list[Path] = []
    for name, text in source.files.items():
        files.append(asked.folder / name)
        files[-1].write_text(text, encoding="utf-8")
    sizes = {"constant_bytes": source.constant_bytes, "arena_bytes": source.arena_bytes}
    return _integers(net, *files, facts=sizes)


def _web(asked: Asked) -> Written:
    file = asked.folder / "index.html"
    if asked.found.kind == "classifier":
        net = _quantised(asked)
        return _integers(net, write_classifier_page(net, asked.found, asked.run, file))
    program = write_generator_page(asked.found, asked.run, file)
    return Written((file,), program.answer, rounded=True, facts={"weight_bits": program.bits})


def _quantised(asked: Asked) -> IntegerNet:
    return integer_net(asked.found.model, asked.run, asked.data_folder, asked.progress)


def _integers(net: IntegerNet, *files: Path, facts: dict[str, Any] | None = None) -> Written:
    def answer(batch: Inputs) -> Tensor:
        logits = integer_logits(net, batch[0].numpy())
        return torch.from_numpy(logits).double() * net.output.scale

    limits = {"limits": asdict(device_limits(net)), "quantisation": net.metadata}
    return Written(files, answer, integers=net, facts=limits | (facts or {}))


WRITERS: dict[str, Writer] = {
    "onnx": Writer("the ONNX file", _onnx),
    "torch": Writer("the torch.export program", _torch),
    "int8": Writer("the integer net", _int8),
    "onnx-int8": Writer("the ONNX file in int8", _onnx_int8),
    "c": Writer("the C source", _c),
    "web": Writer("the page", _web),
}
