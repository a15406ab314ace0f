"""Writes docs/pytorch.md: which of PyTorch's names chainrule has, how they differ, what is absent.

    python docs/pytorch_names.py            # needs PyTorch: pip install 'chainrule[parity]'

What there is and which arguments it takes is found by comparing both libraries. What cannot be
found that way, where the same call means something else, is noted here in `NOTES`. What to use
instead of an absent name says `chainrule.absent`, as the error does.
"""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from chainrule.absent import use_instead
from chainrule.ops.op import Op, own_name

PAGE = Path(__file__).with_name("pytorch.md")

ROOMS = {
    "torch": "chainrule",
    "torch.Tensor": "chainrule.Tensor",
    "torch.nn": "chainrule.nn",
    "torch.nn.Module": "chainrule.nn.Module",
    "torch.nn.functional": "chainrule.nn.functional",
    "torch.nn.init": "chainrule.nn.init",
    "torch.nn.utils": "chainrule.nn.utils",
    "torch.autograd": "chainrule.autograd",
    "torch.autograd.functional": "chainrule.autograd.functional",
    "torch.func": "chainrule.func",
    "torch.linalg": "chainrule.linalg",
    "torch.optim": "chainrule.optim",
    "torch.optim.swa_utils": "chainrule.optim.swa_utils",
    "torch.special": "chainrule.special",
    "torch.testing": "chainrule.testing",
    "torch.utils.data": "chainrule.utils.data",
    "torch.optim.lr_scheduler": "chainrule.optim.lr_scheduler",
}
"""PyTorch's rooms, and ours of the same contents."""

EVERYWHERE = {"out", "layout", "pin_memory", "memory_format", "names", "out_dtype", "implicit"}
"""Arguments of which the page speaks once, not for every function, or that only GPUs have."""

MISTAKEN = {
    "enable_grad": {"orig_func"},
    "norm": {"input"},
    "requires_grad_": {"mode"},
    "result_type": {"tensor", "other", "scalar", "scalar1", "scalar2"},
}
"""Arguments that PyTorch's stub files name and its functions do not have, or only as numbers."""

CLASSES = re.compile(
    r"Tensor$|Storage$|^(Event|Generator|GradScaler|Size|Stream|autocast|device|dtype|enable_grad|"
    r"finfo|iinfo|inference_mode|layout|memory_format|no_grad|qscheme|set_grad_enabled)$"
)
"""Those at PyTorch's top level that users write; the others belong to its compiler."""

INTERNAL = re.compile(
    r"Type$|torch_function|^assert_int|^Profiler|^(native|parse|profiler|unify|merge|import_ir)_|"
    r"^(factory_kwargs|prepare_multiprocessing_environment)$"
)
"""Functions that PyTorch's own code calls."""

NOTES: dict[str, dict[str, str]] = {
    "torch": {
        "device": "only `cpu`",
        "dtype": "NumPy's: `x.dtype` is `dtype('float32')`, printed `float32`",
        "vmap": "samples are computed one after the other: it saves writing, not time",
        "load": "reads safetensors and PyTorch's files, never code: whole modules are refused",
        "save": "writes safetensors: tensors in dicts and lists, not whole modules",
    },
    "torch.Tensor": {
        "contiguous": "images that lie channels-last in memory stay so",
        "cuda": "refused: chainrule computes on the CPU only",
        "data_ptr": "memory may be shared where PyTorch's is not; see `stride`",
        "dtype": "NumPy's: `dtype('float32')`, printed `float32`",
        "stride": "images lie channels-last in memory, whatever made them",
        "view": "as `reshape`: copies where the memory does not allow a view",
    },
    "torch.nn": {
        "TransformerEncoder": "what padding masks hide is computed like the rest; without "
        "gradients, PyTorch gives zeros there",
    },
    "torch.nn.Module": {
        "cuda": "refused: chainrule computes on the CPU only",
        "load_state_dict": "everything is checked before anything is changed",
        "to": "`non_blocking` and `memory_format` change nothing",
    },
    "torch.func": {
        "vmap": "samples are computed one after the other: it saves writing, not time",
    },
    "torch.optim.lr_scheduler": {
        "ConstantLR": "a `factor` of 0 ends too; PyTorch then divides by it",
        "CosineAnnealingLR": "`T_max` must be above 0; so must `StepLR`'s `step_size`",
        "OneCycleLR": "`pct_start` may make a phase of no length; PyTorch then divides by it",
        "SequentialLR": "refuses a state of another number of schedules, as `ChainedScheduler`",
    },
    "torch.optim": {
        "RMSprop": "`centered`: no NaN where rounding makes the variance negative",
    },
    "torch.utils.data": {
        "DataLoader": "its workers are threads; an `IterableDataset` is read by the caller's",
        "get_worker_info": "None where an `IterableDataset` is read, which happens once",
    },
}
"""By PyTorch's room and name: how the same call does something else."""


# -- what there is in PyTorch ----------------------------------------------------------------------


def resolve(path: str) -> Any:
    """The module or class of a dotted name such as "torch.nn.functional"."""
    import importlib

    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        owner, _, name = path.rpartition(".")
        return getattr(resolve(owner), name)


def public_names(room: str) -> list[str]:
    """PyTorch's public names in a room, without modules, imported things and internals."""
    owner = resolve(room)
    names = []
    for name in dir(owner):
        if name.startswith("_"):
            continue
        value = inspect.getattr_static(owner, name)
        if inspect.isclass(owner) or belongs(room, name, value):
            names.append(name)
    return names


def belongs(room: str, name: str, value: Any) -> bool:
    """Whether a member of one of PyTorch's modules is a name that it offers."""
    if isinstance(value, types.ModuleType) or not callable(value) or INTERNAL.search(name):
        return False
    if room != {"Tensor": "torch", "Optimizer": "torch.optim"}.get(name, room):
        return False
    if f"{name}_" in dir(resolve(room)) and room == "torch.nn.init":  # its old names
        return False
    source = getattr(value, "__module__", None) or room
    if not source.startswith("torch") or re.search(r"overrides|_jit_internal", source):
        return False
    if inspect.isclass(value):
        return room != "torch" or bool(CLASSES.search(name))
    return bool(value.__doc__) or isinstance(value, types.FunctionType)


@cache
def stubs(path: str) -> dict[str, list[ast.FunctionDef]]:
    """The overloads that a stub file of PyTorch's declares, by "name" or "Class.name"."""
    import torch

    tree = ast.parse((Path(torch.__file__).parent / path).read_text(encoding="utf-8"))
    found: dict[str, list[ast.FunctionDef]] = {}
    for node in tree.body:
        members = [(node, "")]
        if isinstance(node, ast.ClassDef):
            members = [(member, f"{node.name}.") for member in node.body]
        for member, prefix in members:
            if isinstance(member, ast.FunctionDef):
                found.setdefault(prefix + member.name, []).append(member)
    return found


def their_arguments(room: str, name: str) -> list[str] | None:
    """The names of all arguments of PyTorch's function or class; None where nothing says them."""
    value = getattr(resolve(room), name)
    with_indices = getattr(resolve(room), f"{name}_with_indices", None)
    try:
        parameters = inspect.signature(with_indices or value).parameters.values()
    except (TypeError, ValueError):  # compiled
        pass
    else:
        return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    kind = "TensorBase." if room == "torch.Tensor" else ""
    paths = ["_C/__init__.pyi"] if kind else ["_C/_VariableFunctions.pyi", "_C/_nn.pyi"]
    for path in paths if room != "torch.linalg" else []:
        overloads = stubs(path).get(kind + name)
        if overloads:
            all_of = [f.args.posonlyargs + f.args.args + f.args.kwonlyargs for f in overloads]
            return list(dict.fromkeys(a.arg for arguments in all_of for a in arguments))
    written = re.search(r"\((.*?)\)\s*->", value.__doc__ or "")  # as the docs show the call
    return re.findall(r"(?:^|, )(?:\*, )?(\w+)", written[1]) if written else None


# -- and in chainrule ------------------------------------------------------------------------------


def has(room: str, name: str) -> bool:
    """Whether our room has PyTorch's ``name``."""
    return hasattr(resolve(ROOMS[room]), name)


def takes(function: Callable[..., Any], argument: str) -> bool:
    """Whether our function can be called with an argument of this name."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:
        return True
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or argument in parameters:
        return True
    is_spelled = isinstance(function, Op) or hasattr(function, "is_spelled")
    return is_spelled and own_name(argument, tuple(parameters)) in parameters


def missing_arguments(room: str, name: str) -> list[str]:
    """PyTorch's arguments that ours does not take."""
    ours = getattr(resolve(ROOMS[room]), name)
    if not callable(ours):
        return []
    theirs = their_arguments(room, name) or []
    skipped = {"self", *EVERYWHERE, *MISTAKEN.get(name, ())}
    return [a for a in theirs if a not in skipped and not a.startswith("_") and not takes(ours, a)]


# -- the page --------------------------------------------------------------------------------------


class Room:
    """One room's names: supported, differing with the reason, absent with what to use instead."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.supported: list[str] = []
        self.differing: dict[str, str] = {}
        self.absent: dict[str, str | None] = {}
        for name in public_names(room):
            if not has(room, name):
                self.absent[name] = use_instead(ROOMS[room], name)
            elif difference := self.difference(name):
                self.differing[name] = difference
            else:
                self.supported.append(name)

    def difference(self, name: str) -> str:
        missing = missing_arguments(self.room, name)
        parts = [f"without {', '.join(f'`{a}`' for a in missing)}"] if missing else []
        if note := NOTES.get(self.room, {}).get(name):
            parts.append(note)
        return "; ".join(parts)

    def lines(self) -> Iterator[str]:
        yield f"## {self.room}"
        yield ""
        if self.supported:
            yield f"Supported: {listed(self.supported)}."
            yield ""
        if self.differing:
            yield "| differing | how |"
            yield "|---|---|"
            yield from (f"| `{name}` | {how} |" for name, how in self.differing.items())
            yield ""
        if self.absent:
            yield "| absent | use instead |"
            yield "|---|---|"
            by_hint: dict[str, list[str]] = {}
            for name, hint in self.absent.items():
                by_hint.setdefault(hint or "", []).append(name)
            yield from (f"| {listed(names)} | {hint} |" for hint, names in by_hint.items())
            yield ""


def listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


HEAD = """# PyTorch's names

What of PyTorch {version} is here, compared by `python docs/pytorch_names.py`, which writes this
page. **Supported** names take PyTorch's arguments, by its names and in its order, and compute
the same values and gradients (the tests compare them). **Differing** ones exist, and the table
says how they differ. **Absent** ones raise an error that says what to use instead.

Everywhere: `out=` takes a copy of the result (it saves no memory), has its shape or is empty;
`layout` and `pin_memory` do not exist, and memory formats are chosen by chainrule itself;
dimensions have no names; dtypes are NumPy's; there is one device, the CPU; random numbers differ
from PyTorch's for the same seed. Not counted: what PyTorch does not document, and packages that
are no part of it.

| | supported | differing | absent |
|---|---:|---:|---:|
"""


def page() -> str:
    """The text of docs/pytorch.md."""
    import torch

    rooms = [Room(room) for room in ROOMS]
    counts = [
        f"| {r.room} | {len(r.supported)} | {len(r.differing)} | {len(r.absent)} |" for r in rooms
    ]
    version = ".".join(torch.__version__.split("+")[0].split(".")[:2])
    sections = ["\n".join(r.lines()) for r in rooms]
    return HEAD.format(version=version) + "\n".join(counts) + "\n\n" + "\n".join(sections)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
