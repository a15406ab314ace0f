"""From the bytes of an image file to uint8 pixels (H, W, C). Every image takes this one path.

Files are untrusted. Only formats that Pillow decodes by itself are opened (an EPS would run
Ghostscript, whatever its extension says), and the number of pixels is checked before decoding.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.files import BrokenFileError, Files
from chainrule.data.progress import Progress
from chainrule.errors import ConfigError, DataError
from chainrule.threads import available_cpus

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""Height and width in pixels."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
LARGEST_KEPT = 64
"""Images that all have one size up to this are kept as they are."""
DEFAULT_SIZE = 64
"""Others become this high and wide unless the caller names a size."""
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
ORIENTATION = 0x0112  # EXIF tag
CHUNK = 64  # images handed to a thread at once
SMALL_FILE = 4096
"""Bytes. Below, an image of about 100x100, opening one takes longer than decoding it; opening
holds the GIL, and several threads would only wait for each other."""


@dataclass(frozen=True)
class Skipped:
    """An image that could not be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Target:
    """What every image is turned into, and what is only assumed until an image contradicts.

    size: (height, width). channels: 1 grey or 3 red, green, blue.
    assume_size, assume_grey: these came from the first image, and hold if all others agree.
    """

    size: Size
    channels: int
    assume_size: bool = False
    assume_grey: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return (*self.size, self.channels)


class _AssumptionError(Exception):
    """An image contradicts the target's assumption; `target` is one that no image can."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target


def checked_size(image_size: int | Sequence[int] | None) -> Size | None:
    """`image_size` as (height, width): S means (S, S). Raises ConfigError if it is neither."""
    if image_size is None:
        return None
    size = (
        (image_size, image_size)
        if isinstance(image_size, int)
        else (tuple(image_size) if isinstance(image_size, Sequence) else ())
    )
    if len(size) != 2 or not all(isinstance(side, int) and side >= 1 for side in size):
        raise ConfigError(
            f"data: image_size must be a number of pixels or (height, width), got {image_size!r}"
        )
    return size[0], size[1]


def checked_channels(channels: int | None) -> int | None:
    """`channels` if it is 1, 3 or None. Raises ConfigError otherwise."""
    if channels not in (None, 1, 3):
        raise ConfigError(f"data: channels must be 1 (grey) or 3 (colour), got {channels!r}")
    return channels


def decode(content: bytes, size: Size | None = None, channels: int | None = None) -> Pixels:
    """Pixels (H, W, C) of one image file; size and channels None: as the image has them.

    Transparent images are laid over white, 16-bit ones scaled to 8, those that a camera marked
    as rotated turned upright; of an animation the first frame is taken. To reach `size` the image
    is scaled, bilinear with antialiasing, until it just covers it, and cropped around the centre.
    Raises BrokenFileError with the reason.
    """
    image = _open(content, size)
    if channels is None:
        channels = 1 if image.mode in GREY_MODES else 3
    return _convert(image, size or (image.height, image.width), channels)


def _decode_to(content: bytes, target: Target) -> Pixels:
    image = _open(content, target.size)
    if target.assume_size and (image.height, image.width) != target.size:
        raise _AssumptionError(
            Target((DEFAULT_SIZE, DEFAULT_SIZE), target.channels, assume_grey=target.assume_grey)
        )
    if target.assume_grey and image.mode not in GREY_MODES:
        raise _AssumptionError(Target(target.size, 3, assume_size=target.assume_size))
    return _convert(image, target.size, target.channels)


def _open(content: bytes, size: Size | None) -> Image.Image:
    """The decoded image, upright. With `size`, a JPEG may come smaller, but twice that at least."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise BrokenFileError(
                f"decompression bomb: {image.width} x {image.height} pixels, more than {limit}"
            )
        if size is not None:
            image.draft(None, (2 * max(size), 2 * max(size)))  # libjpeg scales while it decodes
        image.load()
        if _orientation(image) != 1:
            image = ImageOps.exif_transpose(image)
        return image
    except BrokenFileError:
        raise
    except UnidentifiedImageError as error:
        raise BrokenFileError("empty file" if not content else "not an image file") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BrokenFileError(f"decompression bomb: {error}") from error
    except Exception as error:  # Pillow's decoders raise almost anything on a broken file
        raise BrokenFileError(f"damaged: {error or type(error).__name__}") from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged metadata around a good image
        return 1


def _convert(image: Image.Image, size: Size, channels: int) -> Pixels:
    from PIL import Image, ImageOps

    try:
        if image.mode == "F":
            raise BrokenFileError("floating-point pixels; save it with 8 or 16 bits")
        if image.mode.startswith("I"):
            image = Image.fromarray(_sixteen_to_eight_bits(np.asarray(image)))
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        mode = "L" if channels == 1 else "RGB"
        if image.mode != mode:
            image = image.convert(mode)
        if (image.height, image.width) != size:
            image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BILINEAR)
    except (OSError, ValueError, MemoryError) as error:
        raise BrokenFileError(f"cannot be converted from {image.mode}: {error}") from error
    return np.asarray(image).reshape(*size, channels)


def _sixteen_to_eight_bits(pixels: NDArray[Any]) -> Pixels:
    """round(x / 257): 0 to 65535 become 0 to 255."""
    return ((np.clip(pixels, 0, 65535).astype(np.uint32) + 128) // 257).astype(np.uint8)


def refit(images: Pixels, size: Size | None, channels: int | None) -> Pixels:
    """Images (N, H, W, C) turned into another size and number of channels, as files would be."""
    size, channels = size or images.shape[1:3], channels or images.shape[3]
    if (*size, channels) == images.shape[1:]:
        return images
    from PIL import Image

    out = np.empty((len(images), *size, channels), np.uint8)
    for number, pixels in enumerate(images):
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        out[number] = _convert(image, size, channels)
    return out


def choose_target(
    files: Files, names: Iterable[str], size: Size | None, channels: int | None
) -> Target:
    """The target for a set of images, from what the caller wants and its first good image."""
    if size is not None and channels is not None:
        return Target(size, channels)
    for name in names:
        try:
            image = _open(files.read(name), size)
        except BrokenFileError:
            continue
        natural = (image.height, image.width)
        keep = size is None and max(natural) <= LARGEST_KEPT
        grey = image.mode in GREY_MODES
        return Target(
            size or (natural if keep else (DEFAULT_SIZE, DEFAULT_SIZE)),
            channels or (1 if grey else 3),
            assume_size=keep,
            assume_grey=channels is None and grey,
        )
    return Target(size or (DEFAULT_SIZE, DEFAULT_SIZE), channels or 3)


class LazyImages:
    """Images that are decoded each time they are asked for, because they do not fit in memory.

    Indexed as an array (N, H, W, C) is along its first axis: by a number or an array of numbers.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, files: Files, names: list[str], target: Target) -> None:
        self._files, self._names, self._target = files, names, target
        self.shape = (len(names), *target.shape)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: Any) -> Pixels:
        chosen = np.arange(len(self))[index]
        out = np.empty((*chosen.shape, *self._target.shape), np.uint8)
        for position, number in np.ndenumerate(chosen):
            name = self._names[number]
            try:
                out[position] = _decode_to(self._files.read(name), self._target)
            except BrokenFileError as error:  # it was whole when the dataset was loaded
                raise DataError(
                    f"data: {name} in {self._files.root} has become unreadable: "
                    f"{error}; load the dataset again"
                ) from error
        return out


@dataclass(frozen=True)
class Decoded:
    """`images` of the names at `kept`, the `skipped` others, and the target they all have."""

    images: Pixels | LazyImages
    kept: NDArray[np.int64]
    skipped: tuple[Skipped, ...]
    target: Target


def decode_all(
    files: Files,
    names: list[str],
    target: Target,
    *,
    memory_limit: int,
    strict: bool = False,
    progress: Progress | None = None,
) -> Decoded:
    """Decode each image once, in parallel threads (Pillow lets go of the GIL).

    If all fit into `memory_limit` bytes the pixels are kept, else they are only checked, and
    decoded again when asked for. Images that cannot be read are skipped and named.
    Raises DataError if more than half are broken, or, if `strict`, at the first that is.
    """
    while True:
        try:
            return _decode_all(files, names, target, memory_limit, strict, progress)
        except _AssumptionError as contradiction:
            target = contradiction.target


def _decode_all(
    files: Files,
    names: list[str],
    target: Target,
    memory_limit: int,
    strict: bool,
    progress: Progress | None,
) -> Decoded:
    fits = len(names) * int(np.prod(target.shape)) <= memory_limit
    images = np.empty((len(names), *target.shape), np.uint8) if fits else None

    def decode_chunk(start: int) -> list[tuple[int, str]]:
        broken = []
        for number in range(start, min(start + CHUNK, len(names))):
            try:
                pixels = _decode_to(files.read(names[number]), target)
            except BrokenFileError as error:
                broken.append((number, str(error)))
                continue
            if images is not None:
                images[number] = pixels
        return broken

    skipped: dict[int, Skipped] = {}
    with _pillow_warnings_silenced(), ThreadPoolExecutor(_threads_for(files, names)) as pool:
        try:
            for done, broken in enumerate(pool.map(decode_chunk, range(0, len(names), CHUNK)), 1):
                skipped |= {number: Skipped(names[number], why) for number, why in broken}
                if strict and skipped:
                    first = next(iter(skipped.values()))
                    raise DataError(
                        f"data: cannot read {first.name} in {files.root}: "
                        f"{first.reason}; replace it, or allow it to be skipped"
                    )
                if progress:
                    progress("decode", min(done * CHUNK, len(names)), len(names))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _refuse_mostly_broken(files, len(names), list(skipped.values()))
    kept = np.array([n for n in range(len(names)) if n not in skipped], np.int64)
    result: Pixels | LazyImages
    if images is None:
        result = LazyImages(files, [names[n] for n in kept], target)
    else:
        result = _compact(images, kept)
    return Decoded(result, kept, tuple(skipped.values()), target)


def _threads_for(files: Files, names: list[str]) -> int:
    try:
        return 1 if len(files.read(names[0])) < SMALL_FILE else available_cpus()
    except BrokenFileError:
        return available_cpus()


def _refuse_mostly_broken(files: Files, total: int, skipped: list[Skipped]) -> None:
    if 2 * len(skipped) > total:
        shown = ", ".join(f"{item.name} ({item.reason})" for item in skipped[:3])
        raise DataError(
            f"data: {len(skipped)} of {total} images in {files.root} cannot be read: "
            f"{shown}; is this the right folder?"
        )


def _compact(images: Pixels, kept: NDArray[np.int64]) -> Pixels:
    """The kept images moved to the front, in place: a copy would need the memory twice."""
    if len(kept) < len(images):
        for position, number in enumerate(kept):
            if position != number:
                images[position] = images[number]
    return images[: len(kept)]


@contextmanager
def _pillow_warnings_silenced() -> Iterator[None]:
    """What is wrong with an image is said in the reason for skipping it, not on the terminal."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def decode_file(content: bytes, size: Size | None, channels: int | None) -> Pixels:
    """`decode` for a single image, outside of a set."""
    with _pillow_warnings_silenced():
        return decode(content, size, channels)
