"""Zero-centred gradient penalties: how steep a discriminator is at the images it sees (arXiv 1801.04406)."""

import torch
from torch import Tensor, nn

ENOUGH = 16  # images from which on bfloat16 can be used on a processor


def logits_and_squared_gradients(discriminator: nn.Module, images: Tensor, *labels: Tensor) -> tuple[Tensor, Tensor]:
    """The logits of images, and how steeply each rises: both (n,), float32, differentiable by the weights.

    Half the mean of the second is the penalty R1 on real images, and R2 on fake ones. The arithmetic may be bfloat16's:
    that has the range of float32, so that no gradient vanishes for want of scaling, and squares are summed in float32.

    Args:
        discriminator: Gives one logit for each image. Where that depends on other images too, slopes are those of the
            sum of all logits.
        images: (n, c, h, w); no gradients flow further back than these.
        labels: What the discriminator gets besides.

    Returns:
        The logits, and the squared lengths of their gradients with respect to the images.
    """
    images = images.detach().float().requires_grad_()
    device = images.device.type
    # The second derivative of a convolution is one whose channels are the images; in bfloat16, oneDNN 3.12 gets those
    # of fewer than 16 channels wrong on processors with matrix tiles (AMX).
    half = torch.is_autocast_enabled(device) and not (device == "cpu" and len(images) < ENOUGH)
    with torch.autocast(device, dtype=torch.get_autocast_dtype(device), enabled=half):
        # Not as a call: torch.compile's code can be differentiated only once.
        logits: Tensor = discriminator.forward(images, *labels).float()
        (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return logits, slope.square().flatten(1).sum(1)
