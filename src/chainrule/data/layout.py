"""Find out which images a folder or zip holds, of which class, for training or for testing.

Accepted, also below one folder that holds everything:

    cat/1.jpg  dog/2.jpg                            class folders
    train/cat/1.jpg  val/cat/2.jpg  test/cat/3.jpg  class folders in up to three parts
    1.jpg  2.jpg  labels.csv                        a table with the columns file,label

A part may hold labels.csv instead of class folders too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from chainrule.data.files import BrokenFileError, Files
from chainrule.errors import DataError

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
    ]
)

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}

LABELS_FILE = "labels.csv"


@dataclass(frozen=True)
class Part:
    """Images of one part, their class names beside them, and all classes in sorted order."""

    names: list[str]
    labels: list[str]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.labels)))


@dataclass(frozen=True)
class Layout:
    """`parts`: "train", "val", "test" where the folder is divided, else all images under "all".

    `ignored` counts the files that are no images by their extension.
    """

    parts: dict[str, Part]
    ignored: int


def read_layout(files: Files) -> Layout:
    """Sort the files of a folder or zip into parts and classes.

    Raises DataError where nothing can be found, where a class is empty, where images lie outside
    of any class, and where labels.csv and the images disagree.
    """
    images = [name for name in files.names if _is_image(name)]
    tables = {name for name in files.names if name.rsplit("/", 1)[-1] == LABELS_FILE}
    ignored = len(files.names) - len(images) - len(tables)
    if not images:
        raise DataError(
            f"data: no images in {files.root}; "
            + (f"it has files of other kinds: {_listed(files.names)}" if ignored else "it is empty")
            + f" (known: {' '.join(sorted(IMAGE_SUFFIXES))})"
        )
    root = _below_wrapping_folder(files.folders, images, tables)
    parts = {
        part: _read_part(files, images, folder)
        for part, folder in _find_parts(files, images, tables, root).items()
    }
    return Layout(parts, ignored)


def _is_image(name: str) -> bool:
    dot = name.rfind(".")
    return dot >= 0 and name[dot:].lower() in IMAGE_SUFFIXES


def _children(folders: Iterable[str], root: str) -> list[str]:
    """Names of the folders directly in `root` ('' or 'a/b/')."""
    below = (folder[len(root) :] for folder in folders if folder.startswith(root))
    return sorted(name for name in below if name and "/" not in name)


def _below_wrapping_folder(folders: set[str], images: list[str], tables: set[str]) -> str:
    """Step into a folder that alone holds everything, unless it is itself a part or a class."""
    root = ""
    while True:
        children = _children(folders, root)
        if len(children) != 1 or root + LABELS_FILE in tables or _directly_in(images, root):
            return root
        below = f"{root}{children[0]}/"
        is_class = not _children(folders, below) and below + LABELS_FILE not in tables
        if is_class or children[0].lower() in PART_NAMES:
            return root
        root = below


def _directly_in(images: list[str], root: str) -> list[str]:
    return [name for name in images if name.startswith(root) and "/" not in name[len(root) :]]


def _find_parts(files: Files, images: list[str], tables: set[str], root: str) -> dict[str, str]:
    """Folder ('a/b/') of each part; {"all": root} where the images are not divided."""
    children = _children(files.folders, root)
    named = [name for name in children if name.lower() in PART_NAMES]
    divided = [
        name
        for name in named
        if _children(files.folders, f"{root}{name}/") or f"{root}{name}/{LABELS_FILE}" in tables
    ]
    if root + LABELS_FILE in tables or not named:
        return {"all": root}
    if not divided:  # classes may be called so ("train", "plane"), but not all of them
        if len(named) == len(children):
            raise DataError(
                f"data: {files.root} has images directly in {_listed(named)}; "
                f"sort them into class folders there, or put a {LABELS_FILE} beside them"
            )
        return {"all": root}
    stray = [
        name
        for name in children
        if name not in named and any(image.startswith(f"{root}{name}/") for image in images)
    ]
    if stray:
        raise DataError(
            f"data: {files.root} has images in {_listed(stray)} beside "
            f"{_listed(named)}; move them into one of these"
        )
    parts: dict[str, str] = {}
    for name in named:
        part = PART_NAMES[name.lower()]
        if part in parts:
            raise DataError(
                f"data: {files.root} has two folders for the {part} images, "
                f"{parts[part]} and {root}{name}/; keep one"
            )
        parts[part] = f"{root}{name}/"
    return parts


def _read_part(files: Files, images: list[str], folder: str) -> Part:
    inside = [name for name in images if name.startswith(folder)]
    if folder + LABELS_FILE in files.names:
        return _read_table(files, inside, folder)
    where = str(files.root / folder)
    classes = _children(files.folders, folder)
    loose = _directly_in(inside, folder)
    if loose and classes:
        raise DataError(
            f"data: {len(loose)} images lie in {where} beside its class folders "
            f"({_listed(loose)}); move each into the folder of its class"
        )
    if loose:
        raise DataError(
            f"data: {len(loose)} images lie in {where} without a class; sort them into "
            f"class folders, or add {LABELS_FILE} with the columns file,label"
        )
    labels = [name[len(folder) :].split("/", 1)[0] for name in inside]
    empty = sorted(set(classes) - set(labels))
    if empty:
        raise DataError(
            f"data: no images in the class folder {_listed(empty)} of {where}; fill it or remove it"
        )
    return Part(inside, labels)


def _read_table(files: Files, images: list[str], folder: str) -> Part:
    """Labels from labels.csv; every row must name an image and every image must have a row."""
    path = f"{files.root}/{folder}{LABELS_FILE}"
    try:
        text = files.read(folder + LABELS_FILE).decode("utf-8-sig")
    except (BrokenFileError, UnicodeDecodeError) as error:
        raise DataError(f"data: cannot read {path}: {error}; save it as UTF-8 text") from error
    rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    header = list(rows.fieldnames or [])
    if "file" not in header or "label" not in header:
        raise DataError(
            f"data: {path} begins with {','.join(header)!r}; its first line must be file,label"
        )
    labels: dict[str, str] = {}
    for line, row in enumerate(_rows(rows, path), 2):
        name = folder + (row["file"] or "").strip().replace("\\", "/").removeprefix("./")
        label = (row["label"] or "").strip()
        if not label:
            raise DataError(f"data: {path} line {line} has no label for {row['file']!r}")
        if labels.setdefault(name, label) != label:
            raise DataError(
                f"data: {path} gives {row['file']!r} two labels, "
                f"{labels[name]!r} and {label!r}; keep one"
            )
    known = set(images)
    missing = [name for name in labels if name not in known]
    unlabelled = [name for name in images if name not in labels]
    if missing or unlabelled:
        problems = [f"{len(missing)} rows name no image there ({_listed(missing)})"] * bool(missing)
        problems += [f"{len(unlabelled)} images have no row ({_listed(unlabelled)})"] * bool(
            unlabelled
        )
        raise DataError(
            f"data: {path} does not match the images beside it: "
            f"{' and '.join(problems)}; correct the table or the folder"
        )
    return Part(images, [labels[name] for name in images])


def _rows(rows: csv.DictReader[str], path: str) -> list[dict[str, str]]:
    try:
        return list(rows)
    except csv.Error as error:
        raise DataError(f"data: {path} line {rows.line_num}: {error}; save it as CSV") from error


def _listed(names: list[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
