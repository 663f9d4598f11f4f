"""The loop that people write: PIL images from a DataLoader, one augmented at a time, and torch as it comes.

Same nets, losses, optimiser and batch size as the recipe; none of the package's engine, feed or augmentation.
The changes of an image are those of torchvision's transforms on PIL images, in the calls torchvision makes: one affine
transform with bilinear sampling, ImageEnhance for the colours, then a tensor, then normalisation.
"""

import math
import random
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from shoestring.data.augment import Augment
from shoestring.data.dataset import Images
from shoestring.model.build import build
from shoestring.optim.configs import Adam
from shoestring.recipes.recipe import Recipe

WORKERS = 2


class Pictures(Dataset[tuple[Tensor, int]]):
    """PIL images with random changes."""

    def __init__(self, images: Images, recipe: Recipe) -> None:
        arrays = images.images.permute(0, 2, 3, 1).numpy()
        self.pictures = [Image.fromarray(array) for array in arrays]
        self.labels = images.labels.tolist()
        self.augment = recipe.augment
        self.mean = torch.tensor(recipe.data.mean).view(-1, 1, 1)
        self.std = torch.tensor(recipe.data.std).view(-1, 1, 1)

    def __len__(self) -> int:
        """How many."""
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One image, changed and normalised, with its label."""
        picture = changed(self.pictures[index], self.augment)
        tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
        return (tensor - self.mean) / self.std, self.labels[index]


def changed(picture: Image.Image, spec: Augment) -> Image.Image:
    """The picture with the random changes of a recipe; per_channel changes each channel on its own."""
    if spec.horizontal_flip and random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if spec.crop_padding:
        pad = spec.crop_padding
        width, height = picture.size
        left, top = random.randint(0, 2 * pad), random.randint(0, 2 * pad)
        picture = ImageOps.expand(picture, pad).crop((left, top, left + width, top + height))
    if spec.warps:
        if spec.per_channel:
            picture = Image.merge("RGB", [warped(channel, spec) for channel in picture.split()])
        else:
            picture = warped(picture, spec)
    for strength, enhance in (
        (spec.brightness, ImageEnhance.Brightness),
        (spec.contrast, ImageEnhance.Contrast),
        (spec.saturation, ImageEnhance.Color),
    ):
        if strength:
            picture = enhance(picture).enhance(random.uniform(1 - strength, 1 + strength))
    return picture


def warped(picture: Image.Image, spec: Augment) -> Image.Image:
    """The picture under one random affine map about its centre."""
    width, height = picture.size
    angle = math.radians(random.uniform(-spec.rotation_degrees, spec.rotation_degrees))
    shear = math.tan(math.radians(random.uniform(-spec.shear_degrees, spec.shear_degrees)))
    scale = random.uniform(*spec.scale)
    right, down = (random.uniform(-spec.translation, spec.translation) * side for side in (width, height))
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    a, b, d, e = cos - shear * sin, sin + shear * cos, -sin, cos
    x, y = width / 2, height / 2
    inverse = (a, b, x - a * (x + right) - b * (y + down), d, e, y - d * (x + right) - e * (y + down))
    return picture.transform(picture.size, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR)


def endless(loader: DataLoader[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch after epoch."""
    while True:
        yield from loader


def plain_training(recipe: Recipe, images: Images, device: torch.device) -> Callable[[], None]:
    """A function that takes one step of the plain loop."""
    nets = build(recipe).nets.to(device).train()
    optimisers = {phase: plain_optimiser(recipe, nets[phase]) for phase in recipe.task.phases}
    pinned = device.type == "cuda"
    loader = DataLoader(
        Pictures(images, recipe),
        recipe.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        pin_memory=pinned,
    )
    batches = endless(loader)
    noise = torch.Generator(device).manual_seed(recipe.seed)
    running: dict[str, float] = {}

    def step() -> None:
        pictures, labels = next(batches)
        batch = {"images": pictures.to(device), "labels": labels.to(device)}
        batch = recipe.task.draw(batch, recipe.latent_shape, 0, noise)
        for phase in recipe.task.phases:
            optimisers[phase].zero_grad()
            loss, facts = recipe.task.loss(phase, nets, batch)
            loss.backward()
            optimisers[phase].step()
            for name, value in ({f"{phase} loss": loss} | facts).items():
                running[name] = running.get(name, 0.0) + value.item()

    return step


def plain_optimiser(recipe: Recipe, net: nn.Module) -> torch.optim.Optimizer:
    """Torch's Adam; ours where the recipe asks for what torch does not have."""
    if isinstance(recipe.optimiser, Adam):
        return torch.optim.Adam(net.parameters(), lr=recipe.optimiser.learning_rate)
    return recipe.optimiser.build(net)


def plain_sampling(recipe: Recipe, device: torch.device) -> Callable[[int], Tensor]:
    """A function that makes images in batches of 64 with an eager net in float32."""
    nets = build(recipe).nets.to(device).eval()

    @torch.no_grad()
    def make(count: int) -> Tensor:
        made: list[Tensor] = []
        for start in range(0, count, 64):
            latents = torch.randn(min(64, count - start), *recipe.latent_shape, device=device)
            labels = torch.zeros(len(latents), dtype=torch.long, device=device)
            images = recipe.task.generate(nets, latents, labels)
            made.append(((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu())
        return torch.cat(made)

    return make
