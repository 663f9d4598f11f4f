"""Files as users write them, who know nothing of this package."""

from pathlib import Path

NET = '''
import torch
from torch import nn


class TinyNet(nn.Module):
    """Buffers, shared weights, dropout, `view`, and an argument that can be no option."""

    def __init__(self, in_channels, num_classes, width: int = 6, dropout=0.1, act=nn.ReLU):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, 2, 1)
        self.norm = nn.BatchNorm2d(width)
        self.one = nn.Conv2d(width, width, 3, padding=1)
        self.two = nn.Conv2d(width, width, 3, padding=1)
        self.two.weight = self.one.weight
        self.act, self.drop = act(), nn.Dropout(dropout)
        self.head = nn.Linear(width * 16, num_classes)
        self.register_buffer("scale", torch.tensor(0.5))
        self.register_buffer("order", torch.randperm(width))

    def forward(self, images):
        x = self.act(self.norm(self.stem(images))) * self.scale
        x = self.two(self.one(x))[:, self.order]
        return self.head(self.drop(x).view(len(x), -1))


def timm_style(num_classes=1000, in_chans=3, **kwargs):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_chans * 64, num_classes, **kwargs))


class Attention(nn.Module):
    def __init__(self, num_classes, img_size):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.place = nn.Parameter(torch.zeros((img_size // 4) ** 2, 8))
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, num_classes)

    def forward(self, images):
        x = self.patch(images).flatten(2).transpose(1, 2) + self.place
        return self.head((x + self.mix(x, x, x)[0]).mean(1))
'''

GAN = """
import torch
from torch import nn


def gan(shape, latent=4, width=4):
    channels, height, _ = shape
    generator = nn.Sequential(
        nn.Linear(latent, width * 64), nn.Unflatten(1, (width, 8, 8)), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Upsample(size=height), nn.Conv2d(width, channels, 3, padding=1), nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(channels, width, 4, 4), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(width * (height // 4) ** 2, 1),
        nn.Flatten(0),
    )
    return {"generator": generator, "discriminator": discriminator}


class Told(nn.Module):
    def __init__(self, net, num_classes, shape):
        super().__init__()
        self.net, self.classes, self.shape = net, nn.Embedding(num_classes, shape[0]), shape

    def forward(self, x, labels):
        told = self.classes(labels).view(len(x), self.shape[0], *[1] * (x.ndim - 2))
        return self.net(x + told)


def told_gan(shape, num_classes, latent=4):
    nets = gan(shape, latent)
    return {
        "generator": Told(nets["generator"], num_classes, (latent,)),
        "discriminator": Told(nets["discriminator"], num_classes, shape),
    }
"""


def write(folder: Path, text: str = NET, name: str = "my_net.py") -> Path:
    """The file, in a folder whose name has a space."""
    file = folder / "my parts" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


DATA = """
import numpy as np
import torch


def noise(split, count: int = 24, layout="first"):
    rng = np.random.default_rng(0 if split == "train" else 1)
    labels = np.arange(count) % 3
    images = rng.integers(0, 128, (count, 3, 8, 8), dtype=np.uint8)
    images[np.arange(count), labels] += 100
    if layout == "last":
        return images.transpose(0, 2, 3, 1), labels, ("red", "green", "blue")
    return torch.from_numpy(images), torch.from_numpy(labels)


class Items(torch.utils.data.Dataset):
    classes = ["r", "g", "b"]

    def __init__(self, split):
        self.images, self.labels = noise(split)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index].float() / 255, int(self.labels[index])


sets = {"train": Items("train"), "test": Items("test")}
"""

TRAINING = """
import torch
from torch.nn import functional as F


def focal(logits, labels, gamma: float = 2.0):
    losses = F.cross_entropy(logits, labels, reduction="none")
    return (1 - (-losses).exp()) ** gamma * losses


def mean(logits, labels):
    return F.cross_entropy(logits, labels)


def noisy(images, generator, strength=0.1):
    return images + strength * torch.randn(images.shape, generator=generator, device=images.device)


def careless(images, generator):
    return images + torch.rand_like(images)


def linear(step, steps, end=0.1):
    return 1 - (1 - end) * step / steps


def below(step, steps):
    return -1.0


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, beta=0.9):
        super().__init__(params, {"lr": lr, "beta": beta})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["beta"])
                p.sub_(group["lr"] * mean.sign())
"""
