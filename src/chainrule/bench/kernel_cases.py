"""Every kernel on the layers of the models, against what PyTorch runs for the same.

The peer of a kernel on images is PyTorch in channels_last, the layout that ours have too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from chainrule.bench.case import Case, Settings, Timed
from chainrule.bench.kernel_steps import BESIDE_MODELS, KERNELS, Arrays, Kernel, output_shape
from chainrule.bench.layers import Layer, layers
from chainrule.bench.libraries import (
    CHANNELS_LAST,
    DEFAULT,
    OURS,
    channels_last,
    layouts,
    library,
)
from chainrule.bench.models import MODELS, Model
from chainrule.bench.turns import Step

SECONDS = 1.0  # of a case


def cases() -> Iterator[Case]:
    """Each kernel on each layer that has it, some beside; optimizers on the models' weights."""
    found = layers()
    for kind, family in KERNELS.items():
        for kernel in family:
            for layer, users in found.items():
                if layer.kind == kind and not (kernel.needs_gradient and layer.first):
                    yield _case(kernel, layer, quick="resnet20" in users)
    for layer, family in BESIDE_MODELS.items():
        for kernel in family:
            yield _case(kernel, layer, quick=False)
    for rule, settings in OPTIMIZERS.items():
        for name, model in MODELS.items():
            yield _optimizer_case(rule, name, model, settings, FUSED)
    for rule, settings in OTHER_OPTIMIZERS.items():
        yield _optimizer_case(rule, OF_THE_OTHERS, MODELS[OF_THE_OTHERS], settings, FOREACH)


def _optimizer_case(
    rule: str, name: str, model: Model, settings: dict[str, Any], fastest: str
) -> Case:
    return Case(
        f"kernels/{rule.lower()}_step-{name}",
        f"{rule} step, {name}",
        Timed(partial(_optimizer_sides, model, rule, settings, fastest), seconds=SECONDS),
        quick=name == "resnet20" and rule in OPTIMIZERS,
    )


def _case(kernel: Kernel, layer: Layer, quick: bool) -> Case:
    shape = "x".join(map(str, layer.x))
    words, slug = [f"{kernel.name} {shape}"], [f"{kernel.name}-{shape}"]
    if layer.outputs:
        words.append(f"to {layer.outputs}")
        slug.append(str(layer.outputs))
    if layer.kind in ("conv2d", "max_pool2d"):
        (size, _), (stride, _), (padding, _) = layer.kernel_size, layer.stride, layer.padding
        words.append(f"{size}x{size}" + (f" stride {stride}" if stride > 1 else ""))
        slug.append(f"k{size}s{stride}p{padding}")
    return Case(
        f"kernels/{'-'.join(slug)}",
        ", ".join(words).replace(", to", " to"),
        Timed(
            partial(sides, kernel, layer),
            peer=CHANNELS_LAST,
            seconds=SECONDS,
            operations=operations(layer),
        ),
        quick,
    )


def operations(layer: Layer) -> float | None:
    """Multiplications and additions of a convolution or linear layer, in each direction."""
    if layer.kind not in ("conv2d", "linear"):
        return None
    return 2.0 * math.prod(output_shape(layer)) * layer.x[1] * math.prod(layer.kernel_size)


def sides(kernel: Kernel, layer: Layer, settings: Settings) -> Mapping[str, Step]:
    """The kernel's step on each side, its arrays laid out as that side's models have them."""
    steps = {OURS: kernel.ours(Arrays(layer, channels_last, np.ascontiguousarray))}
    for name in layouts(len(layer.x))[1:]:
        steps[name] = kernel.theirs(Arrays(layer, library(name).tensor))
    return steps


OPTIMIZERS: dict[str, dict[str, float]] = {"SGD": {"momentum": 0.9}, "Adam": {}}
OTHER_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adagrad": {},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adadelta": {},
    "NAdam": {},
    "RAdam": {},
    "Adamax": {},
    "ASGD": {},
    "Rprop": {},
}
OF_THE_OTHERS = "resnet20"
FUSED, FOREACH = "fused", "foreach"  # PyTorch's settings: one pass, or one a NumPy-like operation


def _optimizer_sides(
    model: Model, rule: str, settings: dict[str, Any], fastest: str, _: Settings
) -> Mapping[str, Step]:
    steps = {OURS: _optimizer_step(OURS, model, rule, settings)}
    if DEFAULT in layouts(2):
        steps[DEFAULT] = _optimizer_step(DEFAULT, model, rule, settings)
        other = settings | {fastest: True}
        steps[f"torch {fastest}"] = _optimizer_step(DEFAULT, model, rule, other)
    return steps


def _optimizer_step(side: str, model: Model, rule: str, settings: dict[str, Any]) -> Step:
    lib = library(side)
    weights = list(model.build(lib).parameters())
    for w in weights:
        w.grad = (w + 0.5).detach()  # in memory as its weight, like one of a backward pass
    step: Step = getattr(lib.optim, rule)(weights, lr=1e-3, **settings).step
    return step
