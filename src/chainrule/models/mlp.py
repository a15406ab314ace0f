"""Models without convolutions: fully connected layers over the pixels.

    softmax      C·H·W -> num_classes                  linear scores; with cross entropy this
                                                       is multinomial logistic regression
    mlp          C·H·W -> 256 -> 128 -> num_classes    relu between

Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from chainrule import nn
from chainrule.models.registry import check_count, height_width, register


@register()
def softmax(
    num_classes: int = 10, in_channels: int = 1, image_size: int | tuple[int, int] = 28
) -> nn.Sequential:
    """Softmax regression: one linear layer over the pixels."""
    return _fully_connected("softmax", num_classes, in_channels, image_size, ())


@register()
def mlp(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int | tuple[int, int] = 28,
    hidden: Sequence[int] = (256, 128),
) -> nn.Sequential:
    """A multilayer perceptron: hidden layers of the given sizes, relu between."""
    return _fully_connected("mlp", num_classes, in_channels, image_size, hidden)


def _fully_connected(
    name: str,
    num_classes: int,
    in_channels: int,
    image_size: int | tuple[int, int],
    hidden: Sequence[int],
) -> nn.Sequential:
    check_count(name, num_classes=num_classes, in_channels=in_channels)
    for size in hidden:
        check_count(name, hidden=size)
    pixels = math.prod(height_width(name, image_size))
    sizes = [in_channels * pixels, *hidden, num_classes]
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (before, after) in enumerate(pairwise(sizes)):
        if i:
            layers.append(nn.ReLU())
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)
