"""The example of a whole convolutional network that lecture notes begin with.

Three convolutions without padding shrink a 39 x 39 image while they widen it, and a classifier
looks at what is left:

    layer    shape          what                        weights
    input    3 x 39 x 39
    conv1    10 x 37 x 37   conv 3                      3·3·3·10 + 10 = 280
    conv2    20 x 17 x 17   conv 5, stride 2            5·5·10·20 + 20 = 5,020
    conv3    40 x 7 x 7     conv 5, stride 2            5·5·20·40 + 40 = 20,040
    fc       10             linear on 40·7·7 = 1,960    1,960·10 + 10 = 19,610      44,950 in all

A side of n pixels becomes (n - k)//s + 1. relu follows each convolution. Layers can be counted
with pooling and without, as the notes do (`inspect.summary(model).depth()`): here there are 4
either way, for nothing is pooled; LeNet-5 has 5, or 7.

Source: A. Ng, Convolutional Neural Networks (deeplearning.ai), week 1, A simple convolutional
network example.
"""

from __future__ import annotations

from chainrule import nn
from chainrule.errors import ConfigError
from chainrule.models.registry import height_width, register
from chainrule.tensor import Tensor

_SMALLEST = 15  # the side of which one pixel is left


class ExampleNet(nn.Module):
    """Three convolutions and a linear layer. See the table above."""

    def __init__(
        self, num_classes: int = 10, in_channels: int = 3, image_size: int | tuple[int, int] = 39
    ) -> None:
        super().__init__()
        sides = height_width("example_net", image_size)
        if min(sides) < _SMALLEST:
            raise ConfigError(
                f"example_net: images must have at least {_SMALLEST} x {_SMALLEST} pixels, "
                f"got {sides}"
            )
        self.conv1 = nn.Conv2d(in_channels, 10, 3)
        self.conv2 = nn.Conv2d(10, 20, 5, stride=2)
        self.conv3 = nn.Conv2d(20, 40, 5, stride=2)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        height, width = (((n - 2 - 5) // 2 + 1 - 5) // 2 + 1 for n in sides)
        self.fc = nn.Linear(40 * height * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) -> scores (N, num_classes)."""
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.relu(self.conv3(x))
        return self.fc(self.flatten(x))


@register(head="fc")
def example_net(
    num_classes: int = 10, in_channels: int = 3, image_size: int | tuple[int, int] = 39
) -> ExampleNet:
    """The lecture notes' example: 39x39x3 through three convolutions to 7x7x40 = 1,960."""
    return ExampleNet(num_classes, in_channels, image_size)
