"""Tensors to a file and back: `save` and `load`, by PyTorch's names.

`save` writes safetensors; `load` reads them, and what PyTorch's torch.save wrote.

    cr.save(model.state_dict(), "model.safetensors")
    model.load_state_dict(cr.load("model.safetensors"))

What is saved is made of dicts, lists, tuples, numbers, texts, None, tensors and arrays: weights,
an optimizer's state, a whole checkpoint. The tensors lie in the file under the names of their
places ("model.conv1.weight"), for every reader of safetensors; the header's metadata holds the
rest as JSON. Nothing that a file contains is ever executed.
"""

from __future__ import annotations

import io
import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from chainrule.errors import CheckpointError, DTypeError
from chainrule.tensor import Tensor
from chainrule.tensor import device as Device

__all__ = ["load", "save"]

KEY = "chainrule.save"
File = str | Path | BinaryIO


def save(obj: Any, f: File) -> None:
    """Write ``obj``, tensors in dicts and lists among plain values, to a path or an open file.

    A file is written whole or not at all: until then the one before stays. Tensors that share
    memory are written one by one, and do not share it when loaded.
    Raises DTypeError for what is neither (a whole module: save its state_dict).
    """
    from safetensors.numpy import save as to_bytes

    arrays: dict[str, np.ndarray[Any, Any]] = {}
    try:
        plan = json.dumps(_taken_apart(obj, "", arrays))
    except RecursionError:
        raise DTypeError("save: a dict or list contains itself, or they nest too deep") from None
    data = to_bytes(arrays, {KEY: plan})
    if not isinstance(f, str | Path):
        f.write(data)
        return
    path = Path(f).resolve()  # of a link, what it leads to
    if path.exists() and not path.is_file():
        path.write_bytes(data)  # a pipe, or /dev/null
    else:
        write_whole(path, data)


def write_whole(path: Path, content: bytes) -> None:
    """Write beside the target, make it durable, then rename: readers see old or new, whole.

    Raises OSError; the target is then as it was.
    """
    import tempfile

    temporary: str | None = None
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)  # mkstemp's files are private
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None  # not the temporary one's
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(
    f: File,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """What `save` or PyTorch's torch.save wrote, or a dict of any safetensors file's tensors.

    Of PyTorch's files (.pth, .pt, .bin; the formats since 1.6, before, and of 2016): tensors with
    their shape, strides and shared memory, numbers, texts, collections, NumPy's arrays. bfloat16,
    which NumPy has not, becomes float32, which holds the same numbers; parameters become tensors;
    what lay on a GPU lies in memory.
    Nothing in a file is ever executed (weights_only: always so): a file that names a function or
    a class other than those of tensors and plain values is refused.
    map_location: "cpu", or without effect; pickle_module, mmap and the rest are without effect.
    Raises CheckpointError for a file that is broken, refused, or of another kind.
    """
    from chainrule import pytorch_files

    if map_location is not None and not callable(map_location):
        if isinstance(map_location, Mapping):
            map_location = "cpu"  # {"cuda:0": "cpu"}
        Device(str(map_location))  # complains about any but the CPU
    name = str(f if isinstance(f, str | Path) else getattr(f, "name", "the file"))
    if not isinstance(f, str | Path):
        f = io.BytesIO(f.read())
    with open(f, "rb") if isinstance(f, str | Path) else f as file:
        start = file.read(pytorch_files.START)
        file.seek(0)
        if pytorch_files.is_pytorch_file(start):
            return pytorch_files.read(file, name)
        return _from_safetensors(file.read(), name)


def _from_safetensors(data: bytes, name: str) -> Any:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        arrays = from_bytes(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        plan = header.get("__metadata__", {}).get(KEY)
        return _tensors(arrays) if plan is None else _put_together(json.loads(plan), arrays)
    except (SafetensorError, ValueError, KeyError, TypeError) as e:
        raise CheckpointError(
            f"load: {name} is broken, or no safetensors file and none of PyTorch's ({e})"
        ) from None


def _tensors(arrays: dict[str, Any]) -> dict[str, Tensor]:
    return {name: Tensor(array) for name, array in arrays.items()}


def _taken_apart(value: Any, place: str, arrays: dict[str, Any]) -> Any:
    """``value`` as JSON can hold it; tensors go to ``arrays`` under the name of their place."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic) and not isinstance(value, np.ndarray):
        return _taken_apart(value.item(), place, arrays)
    if isinstance(value, Tensor | np.ndarray):
        name = _unused(place or "tensor", arrays)
        array = value.array if isinstance(value, Tensor) else value
        arrays[name] = array if array.flags.c_contiguous else array.copy(order="C")
        return {"tensor": name} if isinstance(value, Tensor) else {"array": name}
    below = f"{place}." if place else ""
    if isinstance(value, Mapping):
        items = [[_plain_key(k), _taken_apart(v, f"{below}{k}", arrays)] for k, v in value.items()]
        return {"ordered" if isinstance(value, OrderedDict) else "dict": items}
    if isinstance(value, list | tuple):
        items = [_taken_apart(v, f"{below}{i}", arrays) for i, v in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    raise DTypeError(
        f"save: cannot save a {type(value).__name__}{f' ({place})' if place else ''}; save "
        "tensors, numbers and texts in dicts and lists (of a module or an optimizer: its "
        "state_dict())"
    )


def _plain_key(key: Any) -> Any:
    if isinstance(key, str | int | float | bool) or key is None:
        return key
    raise DTypeError(f"save: a key of a dict must be a text or a number, got {key!r}")


def _unused(name: str, arrays: dict[str, Any]) -> str:
    """``name``, with as many strokes as it takes to be new."""
    while name in arrays:
        name += "'"
    return name


def _put_together(plan: Any, arrays: dict[str, Any]) -> Any:
    if not isinstance(plan, dict):
        return plan
    ((kind, held),) = plan.items()
    if kind == "tensor":
        return Tensor(arrays[held])
    if kind == "array":
        return arrays[held]
    if kind in ("dict", "ordered"):
        pairs = [(key, _put_together(value, arrays)) for key, value in held]
        return OrderedDict(pairs) if kind == "ordered" else dict(pairs)
    if kind not in ("list", "tuple"):
        raise ValueError(f"unknown kind {kind!r}")
    items = [_put_together(value, arrays) for value in held]
    return tuple(items) if kind == "tuple" else items
