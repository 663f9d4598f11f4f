"""Files of tensors: safetensors of weights, and checkpoints, read so that no code in them runs."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor

from shoestring.core.errors import RunError


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The safetensors file of tensors and metadata; equal ones give equal bytes, whatever order they come in."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Of neither tensors nor metadata the library makes a header that is no JSON.
    content = safetensors.torch.save(plain, metadata=dict(metadata) if plain or metadata else None)
    start = 8 + int.from_bytes(content[:8], "little")
    # The library writes metadata in the order of a hash table that is seeded anew in each process.
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the tensors behind it are aligned
    return len(header).to_bytes(8, "little") + header + content[start:]


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name."""
    try:
        return safetensors.torch.load(file.read_bytes())
    except safetensors.SafetensorError as error:
        raise RunError(f"{file} is damaged ({error}); delete it and run the same `train` command again") from error


def load_checkpoint(path: Path, content: bytes, device: torch.device) -> dict[str, Any]:
    """The state in a checkpoint; tensors and plain values only, so that reading it runs no code.

    Raises:
        RunError: It holds anything else.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except Exception as error:  # whatever a strange file makes torch and pickle raise
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise RunError(
            f"{path} is no checkpoint that `train` wrote ({first}); delete it to go on without it"
        ) from error
    if not isinstance(state, dict):
        raise RunError(f"{path} is no checkpoint that `train` wrote; delete it to go on without it")
    return cast("dict[str, Any]", state)
