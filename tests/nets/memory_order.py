"""Watches the memory order of activations."""

from torch import channels_last, nn


def out_of_order(net: nn.Module) -> list[str]:
    """A list that fills, as the net is called, with the names of modules whose (n, c, h, w) is not channels last."""
    wrong: list[str] = []
    for name, module in net.named_modules():
        module.register_forward_hook(
            lambda _, __, found, name=name: (
                wrong.append(name) if found.ndim == 4 and not found.is_contiguous(memory_format=channels_last) else None
            )
        )
    return wrong
