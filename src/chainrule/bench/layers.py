"""Which layers the models have, on which shapes: found by sending an image through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from chainrule.bench.libraries import OURS, library
from chainrule.bench.models import MODELS, Model

Pair = tuple[int, int]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer of some model; equal where equal kernels serve it."""

    kind: str
    """conv2d, linear, batch_norm (+relu, +add+relu), max_pool2d, avg_pool2d, relu, add, loss."""
    x: Shape
    """Of the input, with the training batch."""
    outputs: int = 0
    """Channels or features."""
    kernel_size: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    bias: bool = False
    first: bool = False
    """Whether its input is the images, which need no gradient."""


@cache
def layers() -> dict[Layer, list[str]]:
    """The different layers, and the models that have them."""
    found: dict[Layer, list[str]] = {}
    for name, model in MODELS.items():
        for layer in layers_of(model):
            users = found.setdefault(layer, [])
            if name not in users:
                users.append(name)
    return found


def layers_of(model: Model) -> list[Layer]:
    """The layers of one model, in the order in which its images pass them."""
    import chainrule

    watch = _Watch(model.batch)
    net = model.build(library(OURS)).eval()
    for module in net.modules():
        record = watch.recorder(type(module).__name__)
        if record is not None:
            module.register_forward_hook(record)
    with chainrule.no_grad():
        net(chainrule.zeros(1, *model.image))
    return [*watch.found, Layer("loss", (model.batch, model.classes))]


class _Watch:
    """Hooks that note what they see."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.found: list[Layer] = []
        self._last: Any = None  # the output that was noted last, so that its identity stays its own
        self._last_name = ""

    def recorder(self, name: str) -> Callable[..., None] | None:
        """The forward hook for modules of a class; None where they are no layers."""
        describe = getattr(self, f"_{name}", None)
        if describe is None:
            return None

        def hook(module: Any, args: tuple[Any, ...], y: Any) -> None:
            (x,) = args
            describe(module, x, (self.batch, *x.shape[1:]))
            self._last, self._last_name = y, name

        return hook

    def _note(self, kind: str, shape: Shape, **more: Any) -> None:
        self.found.append(Layer(kind, shape, first=not self.found, **more))

    def _Conv2d(self, module: Any, x: Any, shape: Shape) -> None:
        self._note(
            "conv2d",
            shape,
            outputs=module.out_channels,
            kernel_size=module.kernel_size,
            stride=module.stride,
            padding=module.padding,
            bias=module.bias is not None,
        )

    def _Linear(self, module: Any, x: Any, shape: Shape) -> None:
        self._note("linear", shape, outputs=module.out_features, bias=module.bias is not None)

    def _BatchNorm2d(self, module: Any, x: Any, shape: Shape) -> None:
        self._note("batch_norm", shape)

    def _MaxPool2d(self, module: Any, x: Any, shape: Shape) -> None:
        geometry = ("kernel_size", "stride", "padding")
        self._note("max_pool2d", shape, **{name: pair(getattr(module, name)) for name in geometry})

    def _AdaptiveAvgPool2d(self, module: Any, x: Any, shape: Shape) -> None:
        self._note("avg_pool2d", shape)

    def _ReLU(self, module: Any, x: Any, shape: Shape) -> None:
        if x is not self._last:  # what came between is a block's addition
            self._note("add", shape)
            self._note("batch_norm+add+relu", shape)
        elif self._last_name == "BatchNorm2d":
            self._note("batch_norm+relu", shape)
        else:
            self._note("relu", shape)


def pair(value: int | Pair) -> Pair:
    """Both axes' value."""
    return (value, value) if isinstance(value, int) else value
