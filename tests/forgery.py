"""Submissions that are not what they claim, made by hand from an honest one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from shoestring.core.checkpoint_chain import digest
from shoestring.core.packed import KEY, Record, record_of, weights_digest
from shoestring.core.run import Run
from shoestring.core.tensor_files import tensor_bytes

Change = Callable[[dict[str, Any], dict[str, Tensor]], object]


def forged(run: Run, file: Path, change: Change, *, careful: bool = True) -> Path:
    """The packed file of a run after a change of its record and its tensors.

    Args:
        run: The honest one.
        file: Where to.
        change: Changes the record and the tensors in place.
        careful: Whether hashes are made anew.
    """
    record: dict[str, Any] = json.loads(json.dumps(record_of(run).to_json()))
    tensors = dict(run.read_weights())
    change(record, tensors)
    if careful:
        record["sha256"] = {
            "recipe": digest(record["files"]["recipe.json"]),
            "log": digest(record["log"]),
            "weights": weights_digest(tensors),
        }
    Record.from_json(record, str(file))
    file.write_bytes(tensor_bytes(tensors, {KEY: json.dumps(record)}))
    return file
