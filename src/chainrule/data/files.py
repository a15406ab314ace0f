"""A tree of files that is read in place: a folder, or a zip that is never unpacked on disk.

What lies in it is untrusted. A zip with an entry that would climb out of its folder is refused
whole, since nobody makes one by mistake; a file of absurd size is only refused itself.
"""

from __future__ import annotations

import os
import stat
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from chainrule.errors import DataError

MAX_FILE_BYTES = 512 * 2**20
"""No photo is larger; a file that is will not be read."""
MAX_RATIO = 200
"""Images are compressed already. What shrinks more than this in a zip is empty or an attack."""
RATIO_MATTERS_FROM = 16 * 2**20
"""Below this size (bytes) a high ratio does no harm."""
CHECKPOINT = ".safetensors"
ENCRYPTED = 1
"""Bit of a zip entry's flags."""


class BrokenFileError(Exception):
    """One file of many cannot be used; the message is the reason, without the file's name."""


class Files:
    """`names`: the paths of all files, `folders`: of all folders, below `root`, '/' between.

    Hidden files and the litter of file browsers (__MACOSX, Thumbs.db) are not listed, nor are
    runs: to train in the folder of the images puts them there.
    """

    root: Path
    names: list[str]
    folders: set[str]

    def read(self, name: str) -> bytes:
        """The content of one file. Safe to call from several threads. Raises BrokenFileError."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what is open; nothing can be read afterwards."""


class FolderFiles(Files):
    def __init__(self, root: Path) -> None:
        self.root, self.names, self.folders = root, [], set()
        seen: set[str] = set()
        above_runs: set[str] = set()
        for folder, subfolders, names in os.walk(root, onerror=_refuse_folder, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:  # a link back to a folder above it would be walked for ever
                subfolders.clear()
                continue
            seen.add(real)
            subfolders[:] = sorted(name for name in subfolders if not _is_litter([name]))
            prefix = "" if Path(folder) == root else Path(folder).relative_to(root).as_posix() + "/"
            if prefix and any(name.endswith(CHECKPOINT) for name in names):
                subfolders.clear()
                self.folders.discard(prefix[:-1])
                above_runs.add(prefix[:-1].rpartition("/")[0])
                continue
            self.folders.update(prefix + name for name in subfolders)
            self.names += [prefix + name for name in names if not _is_litter([name])]
        self.names.sort()
        listed = [*self.names, *self.folders]
        self.folders -= {
            folder
            for folder in above_runs
            if not any(path.startswith(f"{folder}/") for path in listed)
        }

    def read(self, name: str) -> bytes:
        return read_file(self.root / name)


def _refuse_folder(error: OSError) -> None:
    raise DataError(
        f"data: cannot read the folder {error.filename}: {error.strerror}; "
        "allow it, or move it elsewhere"
    ) from error


def read_file(path: Path) -> bytes:
    """The content of one file. Raises BrokenFileError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BrokenFileError(f"larger than {MAX_FILE_BYTES // 2**20} MB")
        return path.read_bytes()
    except OSError as error:
        raise BrokenFileError(f"cannot be read: {error.strerror}") from error


class ZipFiles(Files):
    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            self._zip = zipfile.ZipFile(root)
        except PermissionError as error:
            raise DataError(f"data: cannot read {root}: {error.strerror}") from error
        except Exception as error:  # a damaged directory makes zipfile raise almost anything
            raise DataError(
                f"data: {root} is not a complete zip file ({error}); copy or download it again"
            ) from error
        self._lock = threading.Lock()
        try:
            self._list()
        except DataError:
            self.close()
            raise

    def _list(self) -> None:
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self.folders = set()
        for entry in self._zip.infolist():
            name = _refuse_escape(entry, self.root)
            parts = PurePosixPath(name).parts
            if _is_litter(parts):
                continue
            above = len(parts) + 1 if entry.is_dir() else len(parts)
            self.folders.update("/".join(parts[:depth]) for depth in range(1, above))
            if not entry.is_dir():
                self._entries["/".join(parts)] = entry
        self.names = sorted(self._entries)

    def read(self, name: str) -> bytes:
        entry = self._entries[name]
        if entry.file_size > MAX_FILE_BYTES:
            raise BrokenFileError(f"larger than {MAX_FILE_BYTES // 2**20} MB")
        if entry.file_size > RATIO_MATTERS_FROM and entry.file_size > MAX_RATIO * max(
            entry.compress_size, 1
        ):
            raise BrokenFileError(
                f"decompression bomb: {entry.compress_size} bytes grow to {entry.file_size}"
            )
        if entry.flag_bits & ENCRYPTED:
            raise BrokenFileError("encrypted; make a zip without a password")
        try:
            return self._zip.read(entry)  # stops at the declared size, and checks the CRC
        except Exception as error:  # zipfile and its decompressors raise almost anything
            raise BrokenFileError(f"damaged inside the zip: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._zip.close()


def _is_litter(parts: Iterable[str]) -> bool:
    return any(
        part.startswith(".") or part.lower() in ("__macosx", "thumbs.db", "desktop.ini")
        for part in parts
    )


def _refuse_escape(entry: zipfile.ZipInfo, root: Path) -> str:
    """The entry's path with '/' between; DataError if it leads out of the zip's own folder."""
    name = entry.orig_filename.replace("\\", "/")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":" or "\0" in name:
        problem = "climbs out of the zip"
    elif stat.S_ISLNK(entry.external_attr >> 16):
        problem = "is a symbolic link"
    else:
        return name
    raise DataError(
        f"data: {root} is refused: its entry {entry.orig_filename!r} {problem}; "
        "make the zip again from plain files"
    )


def open_files(path: Path) -> Files:
    """The folder or zip at `path`. Raises DataError if it is neither."""
    if path.is_dir():
        return FolderFiles(path)
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        return ZipFiles(path)
    raise DataError(
        f"data: {path} is neither a folder nor a .zip; "
        "give a folder or a zip of images sorted into class folders"
    )
