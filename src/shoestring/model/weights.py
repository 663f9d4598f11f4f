"""What of trained nets is kept in files."""

from torch import Tensor, nn


def inference_state_dict(nets: nn.ModuleDict) -> dict[str, Tensor]:
    """What of trained nets a run keeps, by name: parameters and buffers, but not the step counters of batch norm.

    A tensor that has several names, as shared weights have, is kept under the first.
    """
    seen: set[tuple[int, object, object]] = set()
    kept: dict[str, Tensor] = {}
    for name, tensor in nets.state_dict().items():
        if not isinstance(tensor, Tensor) or name.endswith(".num_batches_tracked"):
            continue
        place = tensor.data_ptr(), tensor.shape, tensor.stride()
        if not tensor.numel() or place not in seen:
            seen.add(place)
            whole = tensor.untyped_storage().nbytes() == tensor.nbytes
            kept[name] = tensor if whole else tensor.clone()  # files hold no views of one another
    return kept
