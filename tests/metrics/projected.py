"""Small images, and an extractor that projects them and notes how many it was given at a time."""

import torch

from shoestring.metrics.features.extractor import FunctionExtractor

PROJECTION = torch.randn(3 * 4 * 5, 6, generator=torch.Generator().manual_seed(0))


def images(n=20, seed=1):
    return torch.randint(256, (n, 3, 4, 5), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def extractor(calls=None):
    def function(part):
        if calls is not None:
            calls.append(len(part))
        return part.flatten(1).double() @ PROJECTION.double()

    return FunctionExtractor("projection", 6, "0123456789ab", function)
