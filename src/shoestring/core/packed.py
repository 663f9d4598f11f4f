"""A finished run as one safetensors file: its weights, and all that tells of it as JSON under one metadata key."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import safetensors
from torch import Tensor

from shoestring.core.checked import parsed
from shoestring.core.checkpoint_chain import digest
from shoestring.core.errors import RunError
from shoestring.core.run import RECORDS, Run
from shoestring.core.tensor_files import read_tensors, tensor_bytes

KEY = "shoestring"
FORMAT = 1
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Record:
    """What a packed file says of a run besides its weights; nothing of it was checked by who reads it.

    Attributes:
        files: Contents of the run's JSON files by name, of those in `RECORDS`.
        log: The log's records in order.
        source: Code of the run's own parts by file name.
        weights: Metadata of the weights.
        sha256: Hashes of the recipe, the log and the weights, in hex.
    """

    files: dict[str, Any]
    log: list[dict[str, Any]]
    source: dict[str, str]
    weights: dict[str, str]
    sha256: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return {"format": FORMAT} | vars(self)

    @staticmethod
    def from_json(values: Any, origin: str) -> "Record":
        """The record in what a file holds under its metadata key.

        Raises:
            RunError: It is none, or of another version.
        """
        found = cast("dict[str, Any]", values) if isinstance(values, dict) else {}
        if found.get("format") != FORMAT:
            raise RunError(f"{origin} was not packed by this version of shoestring; pack the run again")
        parts = {name: found.get(name) for name in ("files", "log", "source", "weights", "sha256")}
        shapes = {name: list if name == "log" else dict for name in parts}
        broken = [name for name, part in parts.items() if not isinstance(part, shapes[name])]
        if broken:
            raise RunError(f"{origin} holds no record of a run ({', '.join(map(repr, broken))})")
        texts = [(name, cast("dict[str, Any]", parts[name])) for name in ("source", "weights", "sha256")]
        broken += [name for name, part in texts if not _are_texts(part.values())]
        broken += [name for name in parts["files"] or () if name not in RECORDS]
        broken += [name for name in parts["source"] or () if Path(name).name != name or not name.endswith(".py")]
        if broken or "recipe.json" not in (parts["files"] or ()):
            raise RunError(f"{origin} holds no record of a run ({', '.join(map(repr, broken)) or 'no recipe'})")
        return Record(**cast("dict[str, Any]", parts))


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def record_of(run: Run) -> Record:
    """What there is to tell of a finished run.

    Raises:
        RunError: It is not finished, or its weights are not kept.
    """
    tensors = run.read_weights()
    folder = run.folder / "source"
    files = {name: run.read_json(name) for name in RECORDS if (run.folder / name).is_file()}
    log = run.log()
    hashes = {"recipe": digest(files["recipe.json"]), "log": digest(log), "weights": weights_digest(tensors)}
    source = {file.name: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py"))}
    with safetensors.safe_open(run.weights_file, "np") as weights:  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        metadata = cast("dict[str, str]", weights.metadata() or {})  # pyright: ignore[reportUnknownMemberType]
    return Record(files, log, source, dict(sorted(metadata.items())), hashes)


def pack(run: Run) -> bytes:
    """The file of a finished run; equal runs give equal bytes.

    Raises:
        RunError: It is not finished, or its weights are not kept.
    """
    record = json.dumps(record_of(run).to_json(), allow_nan=False, separators=(",", ":"))
    return tensor_bytes(run.read_weights(), {KEY: record})


def read_record(file: Path) -> Record:
    """The record in a packed file; no tensor is read.

    Raises:
        RunError: It is no such file, or damaged.
    """
    try:
        with safetensors.safe_open(file, "np") as content:  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            metadata = cast("dict[str, str]", content.metadata() or {})  # pyright: ignore[reportUnknownMemberType]
        values = parsed(metadata.get(KEY, "null"))
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise RunError(f"{file} cannot be read as a packed run: {error}") from error
    return Record.from_json(values, str(file))


def unpack(file: Path, folder: Path) -> Run:
    """The run of a packed file, written into a folder, which holds nothing else.

    Raises:
        RunError: It is no such file, or damaged.
    """
    record, run = read_record(file), Run(folder)
    run.write_weights(read_tensors(file), record.weights)
    run.append_log(record.log)
    for name, text in record.source.items():
        run.write_bytes(f"source/{name}", text.encode())
    for name, content in sorted(record.files.items(), key=lambda item: item[0] == "recipe.json"):
        run.write_json(name, content)  # the recipe last: it is what makes the folder a run
    return run


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of weights, in hex: of the safetensors file that they alone make."""
    return hashlib.sha256(tensor_bytes(tensors, {})).hexdigest()
