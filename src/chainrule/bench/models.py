"""The models that are timed, each written once over either library.

``lib`` is a `Library`: it has nn, as chainrule and PyTorch both do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Model:
    """An architecture and what it is trained on."""

    build: Callable[[Any], Any]
    image: tuple[int, ...]
    """Shape of one image."""
    classes: int
    batch: int
    """Of a training step."""


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


def vgg(lib: Any) -> Any:
    """Like VGG, for 32x32: two 3x3 convolutions a stage, 64-128-256, then 4096-256-10."""
    nn = lib.nn
    layers = []
    for inputs, outputs in ((3, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
        layers += [nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Linear(4096, 256), nn.ReLU(inplace=True), nn.Linear(256, 10)]
    return nn.Sequential(*layers, *head)


def residual_block(lib: Any, inputs: int, outputs: int, stride: int) -> Any:
    """relu(x + f(x)); where the shape changes, x passes a 1x1 convolution."""
    nn = lib.nn

    class Block(nn.Module):  # type: ignore[name-defined]  # of either library
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU(inplace=True)
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            return self.relu(y + self.shortcut(x))

    return Block()


def stage(lib: Any, blocks: int, inputs: int, outputs: int, stride: int) -> list[Any]:
    """Residual blocks of one width; the first changes the shape."""
    first = residual_block(lib, inputs, outputs, stride)
    return [first, *(residual_block(lib, outputs, outputs, 1) for _ in range(blocks - 1))]


def resnet20(lib: Any) -> Any:
    """The CIFAR ResNet-20 (He et al. 2016, §4.2), with 1x1 convolutions in its shortcuts."""
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True),
        *stage(lib, 3, 16, 16, 1), *stage(lib, 3, 16, 32, 2), *stage(lib, 3, 32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def resnet18(lib: Any) -> Any:
    """The ImageNet ResNet-18 (He et al. 2016, table 1), as torchvision builds it."""
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
        *stage(lib, 2, 64, 64, 1), *stage(lib, 2, 64, 128, 2),
        *stage(lib, 2, 128, 256, 2), *stage(lib, 2, 256, 512, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000),
    )  # fmt: skip


MODELS = {
    "lenet5": Model(lenet5, (1, 28, 28), 10, 64),
    "mlp": Model(mlp, (3072,), 10, 200),
    "resnet20": Model(resnet20, (3, 32, 32), 10, 128),
    "vgg": Model(vgg, (3, 32, 32), 10, 64),
    "resnet18": Model(resnet18, (3, 224, 224), 1000, 8),
}
