"""Weights from an address: what model code written for PyTorch loads for ``pretrained=True``.

    state_dict = load_state_dict_from_url("https://.../resnet18-0a1b2c3d.pth")
    model.load_state_dict(state_dict)

Files are kept in the cache. They are safetensors or PyTorch's own; nothing that a file contains
is ever executed (see `chainrule.load`).
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlparse

from chainrule import saving
from chainrule.data.download import cache_folder, fetch
from chainrule.errors import DataError, absent_name

__all__ = ["load_state_dict_from_url"]


def load_state_dict_from_url(
    url: str,
    model_dir: str | Path | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """What `chainrule.load` reads from the file at ``url``, downloaded if it is not there yet.

    model_dir: where files are kept; None: "weights" in the cache (CHAINRULE_CACHE).
    file_name: its name there; None: the last part of the url. check_hash: the name ends in the
    first digits of the file's SHA-256, as name-0123abcd.pth, and they must be right.
    progress is without effect; weights_only is so always.
    Raises DataError (cannot be downloaded, another checksum), CheckpointError (cannot be read).
    """
    name = file_name or PurePosixPath(urlparse(url).path).name
    folder = cache_folder() / "weights" if model_dir is None else Path(model_dir)
    path = fetch(name, None, [url], folder)
    if check_hash:
        _check(path, name)
    return saving.load(path, map_location)


def _check(path: Path, name: str) -> None:
    """Complain unless the file begins its SHA-256 with the digits that its name ends with."""
    digits = re.search(r"-([a-f0-9]+)\.", name)
    if digits is None:
        raise DataError(f"load_state_dict_from_url: {name} names no checksum; check_hash=False")
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(digits[1]):
        raise DataError(
            f"load_state_dict_from_url: {path} has another checksum than its name says; "
            "delete it, and it is downloaded again"
        )


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
