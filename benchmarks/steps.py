"""Training steps that both sides run: the same model, written once, over either library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

Case = tuple[Callable[[], Any], Sequence[Callable[[], Any]]]


def chainrule_side() -> SimpleNamespace:
    """The library under this name: nn, F, optim, and tensors from arrays."""
    import chainrule
    from chainrule import nn, optim
    from chainrule.nn import functional

    return SimpleNamespace(nn=nn, F=functional, optim=optim, tensor=chainrule.from_numpy)


def torch_side() -> SimpleNamespace:
    """The peer."""
    import torch
    from torch import nn, optim
    from torch.nn import functional

    return SimpleNamespace(nn=nn, F=functional, optim=optim, tensor=torch.from_numpy)


def mlp(lib: Any) -> Any:
    """3072-100-10."""
    return lib.nn.Sequential(lib.nn.Linear(3072, 100), lib.nn.ReLU(), lib.nn.Linear(100, 10))


def lenet5(lib: Any) -> Any:
    """LeNet-5 with ReLU and max pooling, on 28x28."""
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def resnet20(lib: Any) -> Any:
    """The CIFAR ResNet-20, with 1x1 convolutions where the shape changes."""
    nn, relu = lib.nn, lib.F.relu

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.shortcut = nn.Sequential()
            if inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
            return relu(y + self.shortcut(x))

    stages = ((16, 16, 1), (16, 32, 2), (32, 64, 2))
    blocks = [
        Block(i if first else o, o, s if first else 1)
        for i, o, s in stages
        for first in (True, False, False)
    ]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def training_step(lib: Any, model: Any, x: Any, y: Any) -> Callable[[], Any]:
    """Forward, loss, backward, SGD with momentum."""
    optimizer = lib.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step() -> Any:
        optimizer.zero_grad()
        loss = lib.F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def case(build: Callable[[Any], Any], shape: tuple[int, ...]) -> Callable[[], Case]:
    """The step of one model on random images of a shape, on both sides."""

    def make() -> Case:
        import torch

        rng = np.random.default_rng(0)
        images = rng.standard_normal(shape, dtype=np.float32)
        labels = rng.integers(0, 10, shape[0])
        ours = chainrule_side()
        last = np.ascontiguousarray(np.moveaxis(images, 1, -1))
        x = ours.tensor(np.moveaxis(last, -1, 1))
        ours_step = training_step(ours, build(ours), x, ours.tensor(labels))

        theirs = torch_side()
        layouts = [torch.contiguous_format]
        if images.ndim == 4:
            layouts.append(torch.channels_last)
        steps = []
        for layout in layouts:
            model = build(theirs).to(memory_format=layout)
            batch = theirs.tensor(images).contiguous(memory_format=layout)
            steps.append(training_step(theirs, model, batch, theirs.tensor(labels)))
        return ours_step, steps

    return make


CASES: dict[str, Callable[[], Case]] = {
    "mlp, batch 200": case(mlp, (200, 3072)),
    "lenet5, batch 64": case(lenet5, (64, 1, 28, 28)),
    "resnet20, batch 128": case(resnet20, (128, 3, 32, 32)),
}
