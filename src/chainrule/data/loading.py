"""From a name, a folder or a zip to datasets for training, validation and test."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainrule.data.dataset import ImageDataset
from chainrule.data.decode import (
    Pixels,
    Size,
    Skipped,
    checked_channels,
    checked_size,
    choose_target,
    decode_all,
    decode_file,
    refit,
)
from chainrule.data.files import BrokenFileError, Files, open_files, read_file
from chainrule.data.layout import Layout, Part, read_layout
from chainrule.data.memory import default_memory_limit
from chainrule.data.named import DATASETS, NamedDataset, find_named, read_named
from chainrule.data.progress import Progress
from chainrule.data.split import stratified_split
from chainrule.errors import DataError


@dataclass(frozen=True)
class Splits:
    """A dataset ready for training.

    test is None where the source has no test images; nothing is taken from the others for it.
    skipped: files that could not be read. ignored: how many files are no images by their extension.
    """

    train: ImageDataset
    val: ImageDataset
    test: ImageDataset | None
    classes: tuple[str, ...]
    name: str
    skipped: tuple[Skipped, ...] = ()
    ignored: int = 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.train.image_shape


def load(
    source: str | Path,
    *,
    data_dir: str | Path | None = None,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    val_fraction: float = 0.1,
    seed: int = 0,
    strict: bool = False,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Splits:
    """Training, validation and test images of a dataset.

    source: "digits", "mnist", "fashion-mnist", "cifar10", "cifar100", or the path of a folder or
        zip (a folder of such a name: "./digits"). Its layouts: see `chainrule.data.layout`.
    data_dir: where the official files of a named dataset are; then no network is used.
    image_size: pixels, S or (height, width). None: as they are, if all training images have one
        size of at most 64; else 64. Images are scaled until they cover it, then centre-cropped.
    channels: 1 or 3. None: 1 if all training images are stored as grey, else 3.
    val_fraction, seed: without a folder for validation, this share of the training images of each
        class is held out (see `stratified_split`).
    strict: raise at the first image that cannot be read, instead of leaving it out.
    memory_limit: bytes; larger sets are decoded on access. None: a quarter of the free memory.
    Classes come from the training images alone, sorted by name. Raises DataError and ConfigError.
    """
    size, channels = checked_size(image_size), checked_channels(channels)
    named = find_named(source)
    if named is not None:
        return _load_named(named, data_dir, size, channels, val_fraction, seed, progress)
    files = open_files(_existing(source))
    reader = _PartReader(files, size, channels, strict, memory_limit, progress)
    try:
        return _load_files(files, reader, val_fraction, seed)
    finally:
        reader.close_unless_lazy()


def load_split(
    source: str | Path,
    split: str = "test",
    *,
    classes: Sequence[str],
    image_size: int | tuple[int, int],
    channels: int,
    data_dir: str | Path | None = None,
    strict: bool = False,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> ImageDataset:
    """One split of a dataset with the classes, size and channels that a model was trained with.

    split: "train" or "test", for folders also "val". A folder that is not divided into these is
        taken as a whole, and may lack some of the classes; labels count in `classes`.
    Raises DataError if the source has no such split, or a class that is not in `classes`.
    """
    size, wanted = checked_size(image_size), checked_channels(channels)
    named = find_named(source)
    if named is not None:
        if split not in ("train", "test"):
            raise DataError(f"data: {named.name} has no split {split!r}; it has train and test")
        renumber = _label_numbers(named.name, named.classes, classes)  # before any download
        train, test = read_named(named, data_dir, progress)
        images, labels = train if split == "train" else test
        return ImageDataset(refit(images, size, wanted), renumber[labels], classes)
    files = open_files(_existing(source))
    reader = _PartReader(files, size, wanted, strict, memory_limit, progress)
    try:
        layout = read_layout(files)
        part = layout.parts.get(split) or layout.parts.get("all")
        if part is None:
            raise DataError(
                f"data: {files.root} has no {split} folder; it has {', '.join(layout.parts)}"
            )
        return reader.read(part, classes, split)
    finally:
        reader.close_unless_lazy()


def load_image(
    path: str | Path, image_size: int | tuple[int, int] | None = None, channels: int | None = None
) -> Pixels:
    """One image file as uint8 (H, W, C), decoded, scaled and cropped as `load` does it.

    Raises DataError if it is missing or cannot be read.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise DataError(f"data: {path} is a folder; name an image file")
    if not path.exists():
        near = " or ".join(_near(path))
        raise DataError(
            f"data: there is no image {path}" + (f"; did you mean {near}?" if near else "")
        )
    try:
        content = read_file(path)
        return decode_file(content, checked_size(image_size), checked_channels(channels))
    except BrokenFileError as error:
        raise DataError(f"data: cannot read the image {path}: {error}") from error


def _load_named(
    named: NamedDataset,
    data_dir: str | Path | None,
    size: Size | None,
    channels: int | None,
    val_fraction: float,
    seed: int,
    progress: Progress | None,
) -> Splits:
    train, test = (
        ImageDataset(refit(images, size, channels), labels, named.classes)
        for images, labels in read_named(named, data_dir, progress)
    )
    kept, held = stratified_split(train.labels, val_fraction, seed)
    return Splits(train.subset(kept), train.subset(held), test, named.classes, named.name)


def _load_files(files: Files, reader: _PartReader, val_fraction: float, seed: int) -> Splits:
    layout = read_layout(files)
    first = _training_part(files, layout)
    classes = first.classes
    if len(classes) < 2:
        raise DataError(
            f"data: {files.root} has one class only, {classes[0]}; "
            "a classifier needs at least two class folders"
        )
    others = {name: part for name, part in layout.parts.items() if part is not first}
    for name, part in others.items():  # before the long work begins
        _label_numbers(f"{files.root} ({name})", part.classes, classes)
    reader.total = sum(len(part.names) for part in layout.parts.values())
    train = reader.read(first, classes, "train")
    _refuse_lost_classes(files, train)
    read = {name: reader.read(part, classes, name) for name, part in others.items()}
    skipped = train.skipped + tuple(item for part in read.values() for item in part.skipped)
    val = read.get("val")
    if val is None:
        kept, held = stratified_split(train.labels, val_fraction, seed)
        if not len(held):
            raise DataError(
                f"data: {files.root} has one image per class, none to validate with; "
                "add images or a val folder"
            )
        train, val = train.subset(kept), train.subset(held)
    return Splits(
        train, val, read.get("test"), classes, _name_of(files.root), skipped, layout.ignored
    )


def _name_of(root: Path) -> str:
    return root.resolve().name.removesuffix(".zip")


def _training_part(files: Files, layout: Layout) -> Part:
    part = layout.parts.get("train") or layout.parts.get("all")
    if part is None:
        raise DataError(
            f"data: {files.root} has {' and '.join(layout.parts)} but no train folder; "
            "add one, or give a folder of class folders"
        )
    return part


def _refuse_lost_classes(files: Files, train: ImageDataset) -> None:
    counts = np.bincount(train.labels, minlength=len(train.classes))
    lost = [name for name, count in zip(train.classes, counts, strict=True) if not count]
    if lost:
        raise DataError(
            f"data: no readable image of class {', '.join(lost)} in {files.root}; "
            f"the first that failed: {train.skipped[0].name} "
            f"({train.skipped[0].reason})"
        )


def _label_numbers(where: str, found: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Number in `classes` of each class found. Raises DataError naming both sets if one is new."""
    unknown = [name for name in found if name not in classes]
    if unknown:
        raise DataError(
            f"data: {where} has classes that the training images lack: "
            f"{_shown(unknown)}; the training classes are {_shown(classes)}"
        )
    return np.array([list(classes).index(name) for name in found], np.int64)


def _shown(names: Sequence[str], limit: int = 12) -> str:
    return ", ".join(names[:limit]) + (f", ... ({len(names)})" if len(names) > limit else "")


class _PartReader:
    """Decodes part after part of one source to the same target, within one memory limit."""

    def __init__(
        self,
        files: Files,
        size: Size | None,
        channels: int | None,
        strict: bool,
        memory_limit: int | None,
        progress: Progress | None,
    ) -> None:
        self.files, self.size, self.channels = files, size, channels
        self.strict, self.progress = strict, progress
        self.memory = default_memory_limit() if memory_limit is None else memory_limit
        self.done = self.total = 0
        self.lazy = False

    def read(self, part: Part, classes: Sequence[str], where: str) -> ImageDataset:
        """The part's images. The first part read settles size and channels for the others."""
        numbers = _label_numbers(f"{self.files.root} ({where})", part.classes, classes)
        label_of = dict(zip(part.classes, numbers.tolist(), strict=True))
        decoded = decode_all(
            self.files,
            part.names,
            choose_target(self.files, part.names, self.size, self.channels),
            memory_limit=self.memory,
            strict=self.strict,
            progress=self._tell,
        )
        self.size, self.channels = decoded.target.size, decoded.target.channels
        self.done += len(part.names)
        if isinstance(decoded.images, np.ndarray):
            self.memory -= decoded.images.nbytes
        else:
            self.lazy = True
        labels = [label_of[part.labels[number]] for number in decoded.kept]
        return ImageDataset(
            decoded.images, np.array(labels, np.int64), classes, skipped=decoded.skipped
        )

    def close_unless_lazy(self) -> None:
        if not self.lazy:
            self.files.close()

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self.progress:
            self.progress(stage, self.done + done, max(self.total, self.done + total))


def _existing(source: str | Path) -> Path:
    """The path, if there is something. DataError with names that come near otherwise."""
    path = Path(source).expanduser()
    if path.exists():
        return path
    near = _near(path) + difflib.get_close_matches(str(source).lower(), DATASETS, n=2)
    raise DataError(
        f"data: {source} does not exist; "
        + (
            f"did you mean {' or '.join(near)}?"
            if near
            else f"give a folder, a .zip or one of {', '.join(DATASETS)}"
        )
    )


def _near(path: Path) -> list[str]:
    """Paths in the same folder whose names come near that of `path`."""
    try:
        names = [other.name for other in path.parent.iterdir() if other.name != path.name]
    except OSError:  # the folder is missing too, or closed to us
        return []
    return [str(path.parent / name) for name in difflib.get_close_matches(path.name, names)]
