"""Layers, one file a family."""

from chainrule.nn.layers.activation import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from chainrule.nn.layers.conv import Conv2d
from chainrule.nn.layers.dropout import Dropout
from chainrule.nn.layers.linear import Identity, Linear
from chainrule.nn.layers.norm import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm
from chainrule.nn.layers.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from chainrule.nn.layers.shape import Flatten, Unflatten

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GroupNorm",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Unflatten",
]
