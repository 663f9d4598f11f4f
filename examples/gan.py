"""A GAN of 32x32 images: shoestring train cifar100-dcgan-44 --net examples/gan.py:small_gan --net.options.width 24."""

from torch import nn


def small_gan(shape, latent: int = 100, width: int = 32):
    def up(before, after):
        return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()

    def down(before, after):
        return nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)

    generator = nn.Sequential(
        nn.Linear(latent, 4 * width * 16), nn.Unflatten(1, (4 * width, 4, 4)), nn.BatchNorm2d(4 * width), nn.ReLU(),
        *up(4 * width, 2 * width), *up(2 * width, width), *up(width, width),
        nn.Conv2d(width, shape[0], 3, padding=1), nn.Tanh(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        *down(shape[0], width), *down(width, 2 * width), *down(2 * width, 4 * width),
        nn.Flatten(), nn.Linear(4 * width * 16, 1), nn.Flatten(0),
    )  # fmt: skip
    return {"generator": generator, "discriminator": discriminator}
