"""Labelled images, and tensors that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.data.decode import LazyImages, Pixels, Skipped
from chainrule.errors import DataError, ShapeError
from chainrule.tensor import Tensor, as_array

STATISTICS_BLOCK = 256
"""Images summed at once: 256 * 255² < 2²⁴, so float32 holds every partial sum exactly."""
STATISTICS_SAMPLE = 20_000
"""Images looked at for mean and deviation where each must be decoded anew."""


class ImageDataset:
    """Images (N, H, W, C) of bytes with labels (N,), the class of each as its index in `classes`.

    images: a uint8 array, C = 1 grey or 3 colour, or images that are decoded on access.
    skipped: the files that were left out because they could not be read.
    A subset shares the images of the set it was taken from.
    Raises DataError if labels do not fit the images or the classes.
    """

    def __init__(
        self,
        images: Pixels | LazyImages,
        labels: ArrayLike,
        classes: Sequence[str],
        *,
        skipped: Sequence[Skipped] = (),
        indices: NDArray[np.int64] | None = None,
    ) -> None:
        self._images = images
        self._indices = indices
        self.labels = _checked_labels(
            labels, len(images) if indices is None else len(indices), len(classes)
        )
        self.classes = tuple(classes)
        self.skipped = tuple(skipped)

    @classmethod
    def from_arrays(
        cls, images: ArrayLike, labels: ArrayLike, classes: Sequence[str] | None = None
    ) -> ImageDataset:
        """A dataset over images uint8 (N, H, W) or (N, H, W, C) and integer labels (N,).

        classes: their names; by default "0", "1", ... up to the largest label.
        Raises DataError if shape, type, number or range do not fit.
        """
        pixels = np.asarray(images)
        if pixels.ndim == 3:
            pixels = pixels[..., None]
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] not in (1, 3):
            raise DataError(
                f"ImageDataset: images must be uint8 of shape (N, H, W), (N, H, W, 1) or "
                f"(N, H, W, 3), got {pixels.dtype} {np.shape(images)}"
            )
        if classes is None:
            classes = [str(label) for label in range(int(np.max(labels, initial=-1)) + 1)]
        return cls(pixels, labels, classes)

    @property
    def images(self) -> Pixels | LazyImages:
        """All images; for a subset of images in memory, a copy of its own."""
        if self._indices is None:
            return self._images
        return self._images[self._indices]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        _, height, width, channels = self._images.shape
        return height, width, channels

    @property
    def lazy(self) -> bool:
        """Whether images are decoded each time they are asked for."""
        return isinstance(self._images, LazyImages)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Pixels, int]:
        """One image (H, W, C) and its label."""
        position = range(len(self))[index]  # negative numbers, and IndexError beyond the end
        images, labels = self.gather(np.array([position]))
        return images[0], int(labels[0])

    def gather(self, indices: NDArray[np.int64]) -> tuple[Pixels, NDArray[np.int64]]:
        """Copies of several images (B, H, W, C) and their labels (B,)."""
        where = indices if self._indices is None else self._indices[indices]
        return self._images[where], self.labels[indices]

    def subset(self, indices: ArrayLike) -> ImageDataset:
        """The images at `indices`, in that order."""
        chosen = np.asarray(indices, np.int64)
        where = chosen if self._indices is None else self._indices[chosen]
        return ImageDataset(self._images, self.labels[chosen], self.classes, indices=where)

    def mean_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, pixels counted as 0 to 1.

        The sums are exact, so the order of images does not matter. Images decoded on access are
        sampled, 20,000 evenly spaced ones. A channel without any contrast gets the deviation 1,
        which makes it safe to divide by. Raises DataError if there are no images.
        """
        if not len(self):
            raise DataError("mean_std: the dataset is empty; load some images first")
        chosen = np.arange(len(self))
        if self.lazy and len(self) > STATISTICS_SAMPLE:
            chosen = np.linspace(0, len(self) - 1, STATISTICS_SAMPLE).astype(np.int64)
        values = int(np.prod(self.image_shape))
        total, squares = np.zeros(values), np.zeros(values)
        for start in range(0, len(chosen), STATISTICS_BLOCK):
            images, _ = self.gather(chosen[start : start + STATISTICS_BLOCK])
            block = images.reshape(len(images), -1).astype(np.float32)
            total += block.sum(axis=0)
            squares += np.einsum("nv,nv->v", block, block)
        channels = self.image_shape[2]
        count = len(chosen) * values // channels
        mean = total.reshape(-1, channels).sum(axis=0) / count
        variance = squares.reshape(-1, channels).sum(axis=0) / count - mean**2
        std = np.sqrt(np.maximum(variance, 0)) / 255
        return (tuple(float(m) for m in mean / 255), tuple(float(s) if s > 0 else 1.0 for s in std))

    def __repr__(self) -> str:
        height, width, channels = self.image_shape
        return (
            f"ImageDataset({len(self)} images, {height}x{width}x{channels}, "
            f"{len(self.classes)} classes{', decoded on access' if self.lazy else ''})"
        )


def _checked_labels(labels: ArrayLike, count: int, classes: int) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"ImageDataset: labels must be whole numbers, got {array.dtype}")
    if array.shape != (count,):
        raise DataError(
            f"ImageDataset: {count} images need labels of shape ({count},), got {array.shape}"
        )
    if array.size and not 0 <= array.min() <= array.max() < classes:
        raise DataError(
            f"ImageDataset: labels range from {array.min()} to {array.max()}, "
            f"but there are {classes} classes (0 to {classes - 1})"
        )
    return array.astype(np.int64)


class TensorDataset:
    """Tensors of equal length; item i is the tuple of their i-th slices.

    Raises ShapeError if lengths differ or there is no tensor.
    """

    def __init__(self, *tensors: Tensor | NDArray[Any]) -> None:
        if not tensors or len({len(tensor) for tensor in tensors}) > 1:
            raise ShapeError(
                "TensorDataset: needs tensors of one length, got lengths "
                f"{[len(tensor) for tensor in tensors]}"
            )
        self.tensors = tensors
        self._arrays = [as_array(tensor) for tensor in tensors]

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def gather(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """Copies of several items, each tensor's as one array."""
        return tuple(array[indices] for array in self._arrays)
