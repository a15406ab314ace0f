"""What families of models share: convolutions with what follows, first values, checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.tensor import Tensor

Layer = Callable[..., nn.Module]


class Conv2dNormActivation(nn.Sequential):
    """A convolution, a norm, an activation.  (N, in, H, W) -> (N, out, H/stride, W/stride).

    padding: None keeps the size at stride 1. norm_layer, activation_layer: None leaves it out.
    bias: None gives the convolution one if no norm follows, which would take it away.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: int = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        if padding is None:
            padding = (kernel_size - 1) // 2 * dilation
        if bias is None:
            bias = norm_layer is None
        layers: list[nn.Module] = [
            nn.Conv2d(
                in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            settings: dict[str, Any] = {} if inplace is None else {"inplace": inplace}
            layers.append(activation_layer(**settings))
        super().__init__(*layers)
        self.out_channels = out_channels


def conv3x3(
    in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A convolution 3 x 3 that keeps the size at stride 1; a norm behind it has the bias."""
    return nn.Conv2d(
        in_planes,
        out_planes,
        kernel_size=3,
        stride=stride,
        padding=dilation,
        groups=groups,
        bias=False,
        dilation=dilation,
    )


def start_convolutions(model: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """Weights from N(0, 2/fan), which suits ReLU; biases 0.

    Source: He et al. 2015, arXiv:1502.01852, §2.2; fan_in keeps the variance of signals,
    fan_out that of gradients.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def start_normal(model: nn.Module, std: float = 0.01, only: type = nn.Module) -> None:
    """Weights of the layers of a type from N(0, std²), biases 0 (Krizhevsky et al. 2012, §5)."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and isinstance(module, only):
            nn.init.normal_(module.weight, 0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def check_size(model: nn.Module, x: Tensor, least: int) -> None:
    """Raise ShapeError if images are so small that nothing of them reaches the last layer."""
    if min(x.shape[-2:], default=least) < least:
        raise ShapeError(
            f"{type(model).__name__}: images must be at least {least} x {least} pixels\n"
            f"  x {tuple(x.shape)} = (N, C, H, W)"
        )
