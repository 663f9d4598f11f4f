"""A loss: shoestring train cifar100-best --task examples/loss.py:focal --task.options.gamma 1."""

from torch.nn import functional as F


def focal(logits, labels, gamma: float = 2.0):
    """Less weight for images that are told apart well already (Lin et al., "Focal loss", arXiv 1708.02002)."""
    losses = F.cross_entropy(logits, labels, reduction="none")
    return (1 - (-losses).exp()) ** gamma * losses
