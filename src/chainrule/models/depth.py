"""How many layers a network has, counted as its paper counts them."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.autograd import enable_grad
from chainrule.autograd.graph import Node
from chainrule.creation import zeros
from chainrule.errors import ConfigError
from chainrule.models.registry import input_shape as shape_of
from chainrule.nn import Module

LAYERS = ("linear", "conv1d", "conv2d", "conv3d",
          "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")  # fmt: skip
POOLING = ("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
           "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")  # fmt: skip


def depth(model: Module, input_shape: Sequence[int] | None = None, *, pooling: bool = False) -> int:
    """The layers on the longest way from the input to the output.

    Counted are convolutions and linear layers, and with ``pooling`` pooling layers, too: LeNet-5
    has 5 or 7, AlexNet 8 or 11, GoogLeNet 22 or 27, ResNet-20 20 or 21. Normalisation and
    activation are part of the layer before them; of ways that meet the longest counts, so that
    the 1 x 1 convolution of a shortcut adds nothing.

    input_shape: of one input without its batch, (C, H, W); None: what a registered model is
    built for. The model is called once, in evaluation mode, and the recorded graph is read.
    Raises ConfigError if no input_shape is given for a model that is not of the registry.
    Source: Szegedy et al. 2015, arXiv:1409.4842, §5 (both counts).
    """
    shape = shape_of(model) if input_shape is None else tuple(input_shape)
    if shape is None:
        raise ConfigError("depth: give the input_shape, as in depth(model, (3, 224, 224))")
    counted = {*LAYERS, *POOLING} if pooling else {*LAYERS}
    was_training = model.training
    model.eval()
    try:
        with enable_grad():
            output = model(zeros(1, *shape, requires_grad=True))
    finally:
        model.train(was_training)
    longest: dict[Node, int] = {}
    for node in _in_order(output.node):
        before = [longest[edge] for edge in node.edges if isinstance(edge, Node)]
        longest[node] = max(before, default=0) + (node.op.name in counted)
    return max(longest.values(), default=0)


def _in_order(last: Node | None) -> list[Node]:
    """The graph behind a node, each after those it takes its inputs from."""
    found: set[Node] = set()
    waiting = [] if last is None else [last]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [edge for edge in node.edges if isinstance(edge, Node)]
    return sorted(found, key=lambda node: node.order)
