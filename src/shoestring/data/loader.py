"""Batches as a function of (seed, step): any step can be asked for, in any order, and is the same each time."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from shoestring.core import rng
from shoestring.data.augment import Augment
from shoestring.data.custom_augment import CustomAugment
from shoestring.data.dataset import Images, Normalisation, normalise


class BatchLoader:
    """Training batches, from a data set that is moved to the device once, as uint8.

    Batch k holds the positions k batch_size .. (k + 1) batch_size - 1 of an endless sequence: one shuffled epoch after
    the other. Every epoch has each image exactly once; a batch may cross into the next epoch, and holds several epochs
    where batch_size exceeds the data set.
    """

    def __init__(
        self,
        images: Images,
        normalisation: Normalisation,
        augment: Callable[[int], Augment | CustomAugment],
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        """Moves the data to the device.

        Args:
            images: What to train on, at least one.
            normalisation: Mean and standard deviation that the batches are normalised with.
            augment: What is applied to the batch of a step, before normalising.
            batch_size: Images per batch, at least 1.
            seed: The recipe's seed; order and augmentation depend on nothing else but the step.
            device: Where the data set and the batches live. Order is the same on every device; the numbers of the
                augmentation are not the same on CPU and GPU.
        """
        self.normalisation = normalisation
        self.augment = augment
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self.images = images.images.to(device)
        self.labels = images.labels.to(device)
        self._orders: dict[int, Tensor] = {}

    def __call__(self, step: int) -> dict[str, Tensor]:
        """Batch number `step`, from 0.

        Returns:
            "images": float32, (batch_size, c, h, w), augmented and normalised; "labels": int64, (batch_size,).
        """
        chosen = self.indices(step)
        generator = rng.generator(self.seed, "augment", step, device=self.device)
        images = self.augment(step).apply(self.images[chosen], generator)
        return {"images": normalise(images, self.normalisation), "labels": self.labels[chosen]}

    def indices(self, step: int) -> Tensor:
        """Which images of the data set batch number `step` holds: int64, (batch_size,), on the device."""
        n, start = len(self.images), step * self.batch_size
        end = start + self.batch_size
        epochs = range(start // n, (end - 1) // n + 1)
        # Orders are drawn and moved whole, once an epoch; only those of the last batch are kept.
        self._orders = {epoch: self._orders[epoch] if epoch in self._orders else self._order(epoch) for epoch in epochs}
        parts = [self._orders[epoch][max(start - epoch * n, 0) : end - epoch * n] for epoch in epochs]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _order(self, epoch: int) -> Tensor:
        generator = rng.generator(self.seed, "order", epoch)  # on the CPU: the order is the same on every device
        return torch.randperm(len(self.images), generator=generator).to(self.device, non_blocking=True)


def batches(
    images: Images, normalisation: Normalisation, batch_size: int, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Every image once, in order and not augmented, for evaluation.

    Args:
        images: What to go through.
        normalisation: Mean and standard deviation.
        batch_size: Images per batch; the last batch may be shorter.
        device: Where the batches shall be.

    Yields:
        "images": float32, (n, c, h, w), normalised; "labels": int64, (n,). Nothing for an empty data set.
    """
    for start in range(0, len(images), batch_size):
        chosen = slice(start, start + batch_size)
        yield {
            "images": normalise(images.images[chosen].to(device), normalisation),
            "labels": images.labels[chosen].to(device),
        }
