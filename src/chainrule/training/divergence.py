"""Which layer made the first NaN or infinity."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import no_grad
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

ONLY_LOSS = "every layer's output is finite, only the loss is not"


def first_nonfinite(model: Module, images: Tensor) -> str | None:
    """Where, in the order of computation, numbers stop being finite, in words; None: nowhere.

    Runs the model once more on the batch: the images themselves, then each layer's weights
    when it is called, then its output.
    """
    if not _finite(images):
        return "the input images hold NaN or infinity"
    found: list[str] = []

    def look(name: str, module: Module, output: Any) -> None:
        if found:
            return
        for parameter, value in module.named_parameters(recurse=False):
            if not _finite(value):
                found.append(f"{parameter} of layer {name!r} is not finite any more")
                return
        if isinstance(output, Tensor) and not _finite(output):
            found.append(f"the output of layer {name!r} is the first that is not finite")

    def hook(name: str) -> Any:
        return lambda module, inputs, output: look(name, module, output)

    layers = [(name, m) for name, m in model.named_modules() if not list(m.children())]
    handles = [module.register_forward_hook(hook(name)) for name, module in layers]
    try:
        with no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def first_nonfinite_gradient(model: Module) -> str | None:
    """The parameter whose gradient is not finite, the nearest to the loss; None if all are."""
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not _finite(parameter.grad):
            layer, _, own = name.rpartition(".")
            return f"the gradient of {own} of layer {layer!r} is the first that is not finite"
    return None


def _finite(tensor: Tensor) -> bool:
    return bool(np.isfinite(tensor.array).all())
