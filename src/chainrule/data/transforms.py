"""Changes to a whole batch of images (N, H, W, C) at once.

A transform is called with the batch and a NumPy generator; all its chance comes from there.
Augmentations take bytes and return bytes; `Normalize`, the last of a chain, makes floats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import ConfigError, ShapeError

Batch = NDArray[Any]
Transform = Callable[[Batch, np.random.Generator], Batch]

MIDDLE_GREY = 128  # of the bytes 0 to 255


class Compose:
    """Several transforms, one after the other."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)

    def __call__(self, images: Batch, rng: np.random.Generator) -> Batch:
        for transform in self.transforms:
            images = transform(images, rng)
        return images

    def to_config(self) -> list[dict[str, Any]]:
        """Plain data from which `from_config` makes the same transforms."""
        return [step.to_config() for step in self.transforms]  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


class Normalize:
    """y = (x / 255 - mean) / std for each channel, float32; x bytes (N, H, W, C).

    mean, std: one number per channel, pixels counted as 0 to 1.
    Raises ConfigError unless both are of one length and std > 0; ShapeError if the images have
    another number of channels.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        if len(self.mean) != len(self.std) or not self.mean or min(self.std) <= 0:
            raise ConfigError(
                "Normalize: mean and std need one number per channel each, "
                f"std above 0, got mean {self.mean}, std {self.std}"
            )

    def __call__(self, images: Batch, rng: np.random.Generator | None = None) -> Batch:
        channels = images.shape[-1]
        if channels != len(self.mean):
            raise ShapeError(
                f"Normalize: mean and std are for {len(self.mean)} channels, "
                f"the images have {channels}\n  images {images.shape} = (N, H, W, C)"
            )
        mean, std = np.array(self.mean), np.array(self.std)
        # Tiled over a row, so that NumPy's inner loop is a row long and not 1 or 3 pixels.
        repeats = images.shape[-2]
        rows = images.reshape(*images.shape[:-2], repeats * channels)
        out = np.multiply(
            rows, np.tile(1 / (255 * std), repeats).astype(np.float32), dtype=np.float32
        )
        out -= np.tile(mean / std, repeats).astype(np.float32)
        return out.reshape(images.shape)

    def to_config(self) -> dict[str, Any]:
        return {"name": "normalize", "mean": list(self.mean), "std": list(self.std)}

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class RandomCrop:
    """Shift each image by up to `padding` pixels in both directions; black comes in.

    The same as padding on all sides and cropping the old size at a random place.
    Source: He et al. 2016, arXiv:1512.03385, section 4.2 (padding 4 on CIFAR).
    """

    def __init__(self, padding: int = 4) -> None:
        if padding < 0:
            raise ConfigError(f"RandomCrop: padding must be at least 0 pixels, got {padding}")
        self.padding = padding

    def __call__(self, images: Batch, rng: np.random.Generator) -> Batch:
        count, height, width, channels = images.shape
        p = self.padding
        padded = np.zeros((count, height + 2 * p, width + 2 * p, channels), images.dtype)
        padded[:, p : p + height, p : p + width] = images
        tops, lefts = rng.integers(0, 2 * p + 1, (2, count)).tolist()
        out = np.empty_like(images)
        for image, (top, left) in enumerate(zip(tops, lefts, strict=True)):
            out[image] = padded[image, top : top + height, left : left + width]
        return out

    def to_config(self) -> dict[str, Any]:
        return {"name": "random_crop", "padding": self.padding}

    def __repr__(self) -> str:
        return f"RandomCrop(padding={self.padding})"


class RandomHorizontalFlip:
    """Mirror each image, left for right, with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ConfigError(f"RandomHorizontalFlip: p must be between 0 and 1, got {p}")
        self.p = p

    def __call__(self, images: Batch, rng: np.random.Generator) -> Batch:
        chosen = rng.random(len(images)) < self.p
        out = images.copy()
        out[chosen] = images[chosen, :, ::-1]
        return out

    def to_config(self) -> dict[str, Any]:
        return {"name": "random_horizontal_flip", "p": self.p}

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


class Cutout:
    """Paint a grey square of `size` pixels over each image, its middle anywhere on the image.

    What lies outside the image is not painted, so the hidden part varies. A network that cannot
    count on any one part of an object learns all of them.
    Source: DeVries & Taylor 2017, arXiv:1708.04552, section 3 (size 16 for CIFAR-10, which is
    half of its images' side; their fill, 0 after normalisation, is about the middle grey here).
    """

    def __init__(self, size: int = 16) -> None:
        if size < 0:
            raise ConfigError(f"Cutout: size must be at least 0 pixels, got {size}")
        self.size = size

    def __call__(self, images: Batch, rng: np.random.Generator) -> Batch:
        count, height, width, _ = images.shape
        out = images.copy()
        middles = [rng.integers(0, side, count) for side in (height, width)]
        for image, (top, left) in enumerate((np.transpose(middles) - self.size // 2).tolist()):
            rows = slice(max(top, 0), max(top + self.size, 0))
            columns = slice(max(left, 0), max(left + self.size, 0))
            out[image, rows, columns] = MIDDLE_GREY
        return out

    def to_config(self) -> dict[str, Any]:
        return {"name": "cutout", "size": self.size}

    def __repr__(self) -> str:
        return f"Cutout(size={self.size})"


_BY_NAME: dict[str, Callable[..., Transform]] = {
    "normalize": Normalize,
    "random_crop": RandomCrop,
    "random_horizontal_flip": RandomHorizontalFlip,
    "cutout": Cutout,
}


def from_config(steps: Sequence[Mapping[str, Any]]) -> Compose:
    """The transforms that `Compose.to_config` described. Raises ConfigError on unknown ones."""
    transforms = []
    for step in steps:
        settings = dict(step)
        name = settings.pop("name", None)
        if name not in _BY_NAME:
            raise ConfigError(f"transforms: unknown name {name!r}; known: {', '.join(_BY_NAME)}")
        try:
            transforms.append(_BY_NAME[name](**settings))
        except TypeError as error:
            raise ConfigError(
                f"transforms: {name} does not take these settings: {settings}"
            ) from error
    return Compose(transforms)
