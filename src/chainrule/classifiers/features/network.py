"""What a layer of a network makes of a picture."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from chainrule import nn
from chainrule.autograd import no_grad
from chainrule.classifiers.features.image_transformer import ImageTransformer
from chainrule.classifiers.images import Array
from chainrule.tensor import Tensor

FILTERS = 64
"""Of the network that is used where none is given."""
POOLED = 4
"""Its cells along each side."""


class FeatureExtractor(ImageTransformer):
    """The activations of any layer of a network, as float32.

    X (n, C·H·W) -> (n, F): what ``model.get_submodule(layer)`` returns for each picture, flattened,
    or with ``pool`` averaged ("average") or maximised ("max") over each map (N, C, H, W) -> (N, C).
    layer=None: what the last layer with weights is given, the features that a network classifies.
    Of a layer that is called several times, the last call counts.

    model: a `Module`; fitting copies it, and the copy runs in evaluation mode. None: 64 random
    5x5 filters, ReLU, and the mean over a 4x4 grid, a network before any training (Jarrett,
    Kavukcuoglu, Ranzato & LeCun 2009: such filters are not bad); random_state is their seed.
    mean, std: of each channel, subtracted and divided by, for black 0 and white 1, as
    `ImageDataset.mean_std` gives them. batch_size: pictures at once. image_shape: (C, H, W), or
    "auto" (see `find_image_shape`). pixel_range: the value of white; "auto": 255 for whole
    numbers, 1 for floats.
    model_: the network that is run; layer_: the layer's name. Raises ConfigError.
    Source: Donahue et al. 2014, DeCAF, ICML.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        layer: str | None = None,
        *,
        pool: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        batch_size: int = 128,
        image_shape: Any = "auto",
        pixel_range: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.layer = layer
        self.pool = pool
        self.mean = mean
        self.std = std
        self.batch_size = batch_size
        self.image_shape = image_shape
        self.pixel_range = pixel_range
        self.random_state = random_state

    def _prepare(self, X: Array) -> list[str]:
        self._check(
            self.pool in (None, "average", "max"),
            f'pool must be None, "average" or "max", got {self.pool!r}',
        )
        self._check(self.batch_size >= 1, f"batch_size must be at least 1, got {self.batch_size}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            self._check(
                values is None or len(values) == self.image_shape_[0],
                f"{name} must have a value for each channel ({self.image_shape_[0]}), got {values}",
            )
        self._check(
            self.model is None or isinstance(self.model, nn.Module),
            f"model must be a Module or None, got {type(self.model).__name__}",
        )
        made = self._random_network() if self.model is None else copy.deepcopy(self.model)
        self.model_ = made.eval()
        self.layer_, self._before = self._find_layer()
        shape = self._activations(self._images(X[:1])).shape[1:]
        return [
            "_".join((self.layer_ or "network", *map(str, place)))
            for place in product(*map(range, shape))
        ]

    def _find_layer(self) -> tuple[str, bool]:
        """Name of the layer, and whether what goes into it is meant, not what comes out."""
        layers = dict(self.model_.named_modules())
        if self.layer is not None:
            known = ", ".join(name for name in layers if name)
            self._check(
                self.layer in layers,
                f"the network has no layer {self.layer!r}; its layers: {known}",
            )
            return self.layer, False
        if self.model is None:
            return "", False
        weighted = [n for n, m in layers.items() if m._parameters.get("weight") is not None]
        self._check(bool(weighted), "the network has no layer with weights; name one: layer=...")
        return weighted[-1], True

    def _random_network(self) -> nn.Module:
        channels, height, width = self.image_shape_
        filters = nn.Conv2d(channels, FILTERS, 5, padding=2, bias=False)
        draw = check_random_state(self.random_state)
        weight = draw.normal(size=filters.weight.shape) / np.sqrt(25 * channels)
        filters.weight.data = Tensor(weight.astype(np.float32))
        pool = nn.AdaptiveAvgPool2d((min(POOLED, height), min(POOLED, width)))
        return nn.Sequential(filters, nn.ReLU(), pool)

    def _features(self, images: Array) -> Array:
        return self._activations(images)

    def _activations(self, images: Array) -> Array:
        """What the layer gives for images (n, C, H, W)."""
        seen: list[Array] = []
        layer = self.model_.get_submodule(self.layer_)

        def look(_: nn.Module, given: Any, result: Any = None) -> None:
            seen.append(self._reduced(given[0] if self._before else result))

        register = layer.register_forward_pre_hook if self._before else layer.register_forward_hook
        handle = register(look)
        try:
            with no_grad():
                self.model_(Tensor(images))
        finally:
            handle.remove()
        self._check(bool(seen), f"the network does not call its layer {self.layer_!r}")
        return seen[-1]

    def _reduced(self, activations: Any) -> Array:
        """A copy, pooled, of what the network may yet overwrite."""
        self._check(
            isinstance(activations, Tensor),
            f"layer {self.layer_!r} gives no tensor; name another",
        )
        array = activations.numpy()
        if self.pool is not None and array.ndim > 2:
            over = tuple(range(2, array.ndim))
            array = array.mean(over) if self.pool == "average" else array.max(over)
        return np.array(array, np.float32)

    def _images(self, rows: Array) -> Array:
        images = super()._images(rows).astype(np.float32, copy=False)
        if self.mean is not None:
            images -= np.asarray(self.mean, np.float32)[:, None, None]
        if self.std is not None:
            images /= np.asarray(self.std, np.float32)[:, None, None]
        return images

    def _images_at_once(self) -> int:
        return self.batch_size

    def _result_type(self, X: Array) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
