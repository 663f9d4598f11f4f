"""A classifier: shoestring train cifar100-best --net examples/net.py:SmallNet --net.options.width 32."""

from torch import nn


class SmallNet(nn.Module):
    def __init__(self, in_channels, num_classes, width: int = 24, dropout: float = 0.1):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.Conv2d(2 * width, 3 * width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(3 * width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(3 * width, num_classes))

    def forward(self, images):
        return self.head(self.features(images))
