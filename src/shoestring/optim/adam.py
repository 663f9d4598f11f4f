"""torch's Adam and AdamW without what serves only compiled optimisers, and takes two seconds to import."""

from inspect import unwrap

import torch


class _Unwrapped(torch.optim.Optimizer):
    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)


class EagerAdam(_Unwrapped, torch.optim.Adam):
    """`torch.optim.Adam`, the same bits; its methods without the wrappers that import torch's compiler when called."""

    step = torch.no_grad()(unwrap(torch.optim.Adam.step))  # pyright: ignore[reportUnknownArgumentType]


class EagerAdamW(_Unwrapped, torch.optim.AdamW):
    """`torch.optim.AdamW`, likewise."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))  # pyright: ignore[reportUnknownArgumentType]
