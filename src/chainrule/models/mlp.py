"""Models without convolutions: fully connected layers over the pixels.

    softmax        D -> num_classes                linear scores; with cross entropy this is
                                                   multinomial logistic regression
    svm            D -> num_classes                the same scores, for the hinge loss
    two_layer_net  D -> 100 -> num_classes         relu between
    mlp            D -> 256 -> 128 -> num_classes  as many layers as one likes

D = C·H·W. For a 28 x 28 digit D = 784: 7,850, 7,850, 79,510 and 235,146 weights.

What makes linear scores an SVM is its loss, Weston & Watkins 1999's sum of hinges
Σ max(0, s_j - s_t + 1) (`F.multiclass_svm_loss`), with the weights' squares as penalty: the
recipe of `chainrule train --model svm` says so, and of --model softmax cross entropy.

Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors. The
layers and their order are those of the course CS231n: {affine, norm, relu, dropout} x (L - 1),
affine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from chainrule import nn
from chainrule.errors import ConfigError
from chainrule.models.registry import check_count, height_width, register

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batchnorm": nn.BatchNorm1d,
    "layernorm": nn.LayerNorm,
}


@register()
def softmax(
    num_classes: int = 10, in_channels: int = 1, image_size: int | tuple[int, int] = 28
) -> nn.Sequential:
    """Softmax regression: one linear layer over the pixels."""
    return _fully_connected("softmax", num_classes, in_channels, image_size, ())


@register()
def svm(
    num_classes: int = 10, in_channels: int = 1, image_size: int | tuple[int, int] = 28
) -> nn.Sequential:
    """A linear support vector machine: one linear layer, trained with the multiclass hinge."""
    return _fully_connected("svm", num_classes, in_channels, image_size, ())


@register(aliases=("two-layer",))
def two_layer_net(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int | tuple[int, int] = 28,
    hidden: int = 100,
) -> nn.Sequential:
    """A two-layer net: linear, relu, linear."""
    return _fully_connected("two_layer_net", num_classes, in_channels, image_size, (hidden,))


@register()
def mlp(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int | tuple[int, int] = 28,
    hidden: Sequence[int] = (256, 128),
    normalization: str | None = None,
    dropout: float = 0.0,
) -> nn.Sequential:
    """A multilayer perceptron: hidden layers of the given sizes, relu between.

    normalization: "batchnorm" or "layernorm", between each hidden layer and its relu; None:
    neither. dropout: part of the hidden units that is left out in training.
    """
    return _fully_connected(
        "mlp", num_classes, in_channels, image_size, hidden, normalization, dropout
    )


def _fully_connected(
    name: str,
    num_classes: int,
    in_channels: int,
    image_size: int | tuple[int, int],
    hidden: Sequence[int],
    normalization: str | None = None,
    dropout: float = 0.0,
) -> nn.Sequential:
    if not isinstance(hidden, Sequence):
        raise ConfigError(f"{name}: hidden must be a list of sizes, such as [256], got {hidden!r}")
    for size in hidden:
        check_count(name, hidden=size)
    if normalization is not None and normalization not in NORMS:
        raise ConfigError(
            f"{name}: normalization must be {', '.join(NORMS)} or None, got {normalization!r}"
        )
    pixels = math.prod(height_width(name, image_size))
    sizes = [in_channels * pixels, *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes):
        layers.append(nn.Linear(before, after))
        if normalization is not None:
            layers.append(NORMS[normalization](after))
        layers.append(nn.ReLU())
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(sizes[-1], num_classes))
