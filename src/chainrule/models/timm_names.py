"""timm's names of weights and architectures, where they are not torchvision's, which are ours.

timm's VGG has its linear layers as convolutions over the whole 7 x 7 map (timm/models/vgg.py,
ConvMlp); its MobileNetV2 is one of its EfficientNets (timm/models/_efficientnet_blocks.py), whose
blocks stand in stages.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "mobilenetv2_035": {"name": "mobilenet_v2", "width_mult": 0.35},
    "mobilenetv2_050": {"name": "mobilenet_v2", "width_mult": 0.5},
    "mobilenetv2_075": {"name": "mobilenet_v2", "width_mult": 0.75},
    "mobilenetv2_100": {"name": "mobilenet_v2"},
    "mobilenetv2_140": {"name": "mobilenet_v2", "width_mult": 1.4},
}
"""timm's name: the settings that `models.create` takes."""

_VGG_HEAD = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3",
             "head.fc": "classifier.6"}  # fmt: skip
_INVERTED = {  # widen, look around, narrow
    "conv_pw": "conv.0.0", "bn1": "conv.0.1", "conv_dw": "conv.1.0", "bn2": "conv.1.1",
    "conv_pwl": "conv.2", "bn3": "conv.3",
}  # fmt: skip
_SEPARABLE = {"conv_dw": "conv.0.0", "bn1": "conv.0.1", "conv_pw": "conv.1", "bn2": "conv.2"}


def by_own_names(state: Mapping[str, Any], own: Container[str]) -> dict[str, Any]:
    """The tensors by our names, if they stand under timm's; else as they are.

    own: the names that the model has.
    """
    if "pre_logits.fc1.weight" in state and "classifier.0.weight" in own:
        return _vgg(state)
    if "conv_stem.weight" in state and "features.0.0.weight" in own:
        return _mobilenet_v2(state)
    return dict(state)


def _renamed(state: Mapping[str, Any], layers: Mapping[str, str]) -> dict[str, Any]:
    """The tensors of some layers by those layers' new names."""
    split = [(name.rpartition("."), value) for name, value in state.items()]
    return {layers.get(layer, layer) + dot + kind: value for (layer, dot, kind), value in split}


def _vgg(state: Mapping[str, Any]) -> dict[str, Any]:
    flat = {f"{layer}.weight" for layer in _VGG_HEAD}  # of (O, C, 7, 7): as pixels flatten
    values = {k: v.reshape(v.shape[0], -1) if k in flat else v for k, v in state.items()}
    return _renamed(values, _VGG_HEAD)


def _mobilenet_v2(state: Mapping[str, Any]) -> dict[str, Any]:
    found = (re.match(r"blocks\.(\d+)\.(\d+)\.", name) for name in state)
    blocks = sorted({(int(m[1]), int(m[2])) for m in found if m})
    last = len(blocks) + 1
    layers = {
        "conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": f"features.{last}.0",
        "bn2": f"features.{last}.1", "classifier": "classifier.1",
    }  # fmt: skip
    for place, (stage, number) in enumerate(blocks, start=1):
        block = f"blocks.{stage}.{number}"
        inside = _INVERTED if f"{block}.conv_pwl.weight" in state else _SEPARABLE
        layers |= {f"{block}.{name}": f"features.{place}.{ours}" for name, ours in inside.items()}
    return _renamed(state, layers)
