"""torch's Adam and AdamW without what serves only compiled optimisers, and takes two seconds to import."""

from inspect import unwrap

import torch


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, the same bits; its methods without the wrappers that import torch's compiler when called."""

    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    zero_grad = unwrap(torch.optim.Adam.zero_grad)
    state_dict = unwrap(torch.optim.Adam.state_dict)
    load_state_dict = unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))  # pyright: ignore[reportUnknownArgumentType]


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`, likewise."""

    add_param_group = Adam.add_param_group
    zero_grad = Adam.zero_grad
    state_dict = Adam.state_dict
    load_state_dict = Adam.load_state_dict
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))  # pyright: ignore[reportUnknownArgumentType]
