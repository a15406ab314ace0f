"""LeNet-5: the convolutional network that read cheques.

LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document
recognition, Proc. IEEE 86(11), §II.B and figure 2.

For a 28 x 28 digit (the paper's 32 x 32, two pixels of margin being the padding of C1):

    layer        shape         weights
    input        1 x 28 x 28
    C1  conv 5   6 x 28 x 28   1·6·25 + 6 = 156
    S2  pool 2   6 x 14 x 14
    C3  conv 5   16 x 10 x 10  6·16·25 + 16 = 2,416
    S4  pool 2   16 x 5 x 5
    C5  linear   120           16·25·120 + 120 = 48,120
    F6  linear   84            120·84 + 84 = 10,164
    output       10            84·10 + 10 = 850            61,706 in all

As usual today, and unlike the paper: maxima instead of trainable means in S2 and S4, relu
instead of a scaled tanh, C3 sees all of S2, and the output is linear scores for softmax
instead of distances to drawn letters.
"""

from __future__ import annotations

from chainrule import nn
from chainrule.errors import ConfigError
from chainrule.models.registry import height_width, register
from chainrule.tensor import Tensor

_PAPER_INPUT = 32  # side of the images
_PAPER_S2 = 14  # side of the maps after the first pooling


class LeNet5(nn.Module):
    """Two convolutions with pooling, three linear layers. See the table above."""

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, image_size: int | tuple[int, int] = 28
    ) -> None:
        super().__init__()
        sides = height_width("lenet5", image_size)
        if min(sides) < 4:
            raise ConfigError(f"lenet5: images must have at least 4 x 4 pixels, got {sides}")
        pad1, s2 = _pad_and_halve(sides, _PAPER_INPUT)
        pad2, s4 = _pad_and_halve(s2, _PAPER_S2)
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=pad1)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=pad2)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(16 * s4[0] * s4[1], 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) -> scores (N, num_classes)."""
        x = self.pool(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        x = self.relu(self.fc1(self.flatten(x)))
        return self.fc3(self.relu(self.fc2(x)))


def _pad_and_halve(sides: tuple[int, int], enough: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding of a 5 x 5 convolution, and the sides after it and 2 x 2 pooling.

    A side shorter than the paper's is padded so that it does not shrink.
    """
    padding = (2 if sides[0] < enough else 0, 2 if sides[1] < enough else 0)
    halves = ((sides[0] + 2 * padding[0] - 4) // 2, (sides[1] + 2 * padding[1] - 4) // 2)
    return padding, halves


@register(head="fc3")
def lenet5(
    num_classes: int = 10, in_channels: int = 1, image_size: int | tuple[int, int] = 28
) -> LeNet5:
    """LeNet-5 (LeCun et al. 1998): two convolutions, 62 thousand weights."""
    return LeNet5(num_classes, in_channels, image_size)
