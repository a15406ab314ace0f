"""DenseNet: every layer of a block sees all layers before it.

Huang, Liu, van der Maaten & Weinberger 2017, Densely connected convolutional networks,
arXiv:1608.06993, table 1 (DenseNet-BC). DenseNet-121 on images of 224 x 224 pixels, growth
rate k = 32:

    layer          shape            what                                        weights
    input          3 x 224 x 224
    conv0          64 x 112 x 112   conv 7, stride 2, batch norm, relu            9,536
    pool0          64 x 56 x 56     max pool 3, stride 2
    denseblock1    256 x 56 x 56    6 layers                                    335,040
    transition1    128 x 28 x 28    conv 1, mean pool 2                          33,280
    denseblock2    512 x 28 x 28    12 layers                                   919,680
    transition2    256 x 14 x 14    conv 1, mean pool 2                         132,096
    denseblock3    1024 x 14 x 14   24 layers                                 2,837,760
    transition3    512 x 7 x 7      conv 1, mean pool 2                         526,336
    denseblock4    1024 x 7 x 7     16 layers                                 2,158,080
    norm5          1024 x 7 x 7     batch norm, relu                              2,048
    mean           1024             mean over the image
    classifier     1,000            linear                                    1,025,000
                                                                              7,978,856 in all

    model         layers            k    weights
    densenet121   6, 12, 24, 16     32    7,978,856
    densenet161   6, 12, 36, 24     48   28,681,000
    densenet169   6, 12, 32, 32     32   14,149,480
    densenet201   6, 12, 48, 32     32   20,013,928

A layer adds k channels to those it is given: batch norm, relu, conv 1 to 4k channels (the
bottleneck), batch norm, relu, conv 3 to k. In a transition, a batch norm and a ReLU come first.

Every layer joins all channels before it anew, and normalises them: memory grows with the square
of the depth. ``memory_efficient`` keeps only the new channels and computes the rest again in the
backward pass (Pleiss et al. 2017, arXiv:1707.06990). Convolutions start as in He et al. 2015
(arXiv:1502.01852). Names are torchvision's, whose weights fit.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.models.blocks import check_size, start_convolutions
from chainrule.models.registry import check_count, register
from chainrule.tensor import Tensor
from chainrule.utils.checkpoint import checkpoint


class _DenseLayer(nn.Module):
    """All channels so far -> growth_rate new ones."""

    def __init__(
        self,
        num_input_features: int,
        growth_rate: int,
        bn_size: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        bottleneck = bn_size * growth_rate
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, bottleneck, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bottleneck, growth_rate, kernel_size=3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def forward(self, input: Tensor | Sequence[Tensor]) -> Tensor:
        """Images, or several (N, C_i, H, W) to be joined -> (N, growth_rate, H, W)."""
        parts = [input] if isinstance(input, Tensor) else list(input)
        if self.memory_efficient and any(part.requires_grad for part in parts):
            x = checkpoint(self._bottleneck, *parts, use_reentrant=False)
        else:
            x = self._bottleneck(*parts)
        x = self.conv2(self.relu2(self.norm2(x)))
        if self.drop_rate > 0:
            x = F.dropout(x, p=self.drop_rate, training=self.training)
        return x

    def _bottleneck(self, *parts: Tensor) -> Tensor:
        return self.conv1(self.relu1(self.norm1(cr.cat(parts, 1))))


class _DenseBlock(nn.ModuleDict):
    """Layers that each see all before them.  (N, C, H, W) -> (N, C + layers·k, H, W)."""

    def __init__(
        self,
        num_layers: int,
        num_input_features: int,
        bn_size: int,
        growth_rate: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        for i in range(num_layers):
            self[f"denselayer{i + 1}"] = _DenseLayer(
                num_input_features + i * growth_rate,
                growth_rate,
                bn_size,
                drop_rate,
                memory_efficient,
            )

    def forward(self, init_features: Tensor) -> Tensor:
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return cr.cat(features, 1)


class _Transition(nn.Sequential):
    """Fewer channels, half the height and width."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(num_input_features, num_output_features, kernel_size=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """Dense blocks with transitions between them. See the tables above.

    growth_rate: channels that a layer adds. block_config: layers of each block. bn_size:
    channels of a bottleneck, as a multiple of growth_rate. drop_rate: dropout behind each layer.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        check_count("densenet", num_classes=num_classes, in_channels=in_channels)
        channels = num_init_features
        self.features = nn.Sequential(
            OrderedDict[str, nn.Module](
                conv0=nn.Conv2d(
                    in_channels, channels, kernel_size=7, stride=2, padding=3, bias=False
                ),
                norm0=nn.BatchNorm2d(channels),
                relu0=nn.ReLU(inplace=True),
                pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            )
        )
        for i, layers in enumerate(block_config, start=1):
            if i > 1:
                self.features.add_module(f"transition{i - 1}", _Transition(channels, channels // 2))
                channels //= 2
            block = _DenseBlock(layers, channels, bn_size, growth_rate, drop_rate, memory_efficient)
            self.features.add_module(f"denseblock{i}", block)
            channels += layers * growth_rate
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        start_convolutions(self, "fan_in")
        if self.classifier.bias is not None:
            nn.init.zeros_(self.classifier.bias)
        self._least = 2 ** (len(block_config) + 1) - 3
        self.register_load_state_dict_pre_hook(_take_old_names)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W), at least 29 x 29 -> scores (N, num_classes)."""
        check_size(self, x, self._least)
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def _take_old_names(model: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Files of before 2018, torchvision's among them, say ``norm.1`` for ``norm1``."""
    for name in list(state):
        new = re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", name)
        if name.startswith(prefix) and new != name:
            state[new] = state.pop(name)


_FIXED = ("growth_rate", "block_config", "num_init_features")  # by the table above


@register(image_size=224, head="classifier", options_of=DenseNet, fixed=_FIXED)
def densenet121(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> DenseNet:
    """DenseNet-121 (Huang et al. 2017): growth rate 32, 8.0 million weights."""
    return _densenet(32, (6, 12, 24, 16), 64, num_classes, in_channels, **options)


@register(image_size=224, head="classifier", options_of=DenseNet, fixed=_FIXED)
def densenet161(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> DenseNet:
    """DenseNet-161 (Huang et al. 2017): growth rate 48, 28.7 million weights."""
    return _densenet(48, (6, 12, 36, 24), 96, num_classes, in_channels, **options)


@register(image_size=224, head="classifier", options_of=DenseNet, fixed=_FIXED)
def densenet169(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> DenseNet:
    """DenseNet-169 (Huang et al. 2017): growth rate 32, 14.1 million weights."""
    return _densenet(32, (6, 12, 32, 32), 64, num_classes, in_channels, **options)


@register(image_size=224, head="classifier", options_of=DenseNet, fixed=_FIXED)
def densenet201(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> DenseNet:
    """DenseNet-201 (Huang et al. 2017): growth rate 32, 20.0 million weights."""
    return _densenet(32, (6, 12, 48, 32), 64, num_classes, in_channels, **options)


def _densenet(
    growth_rate: int,
    block_config: Sequence[int],
    num_init_features: int,
    num_classes: int,
    in_channels: int,
    **options: Any,
) -> DenseNet:
    return DenseNet(
        growth_rate,
        block_config,
        num_init_features,
        num_classes=num_classes,
        in_channels=in_channels,
        **options,
    )
