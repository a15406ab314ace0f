"""A pickle as data: plain values are made, and nothing is imported or called but what is allowed.

Python's own unpickler would import and call whatever a file names, and lets even harmless
objects be changed ("build"). This machine knows the same opcodes (protocols 0 to 5; the standard
library's pickletools takes the bytes apart), but

- a name stands for what the caller's table says, and for nothing otherwise;
- "reduce", "newobj", "inst" and "obj" call a `Constructor` of that table, nothing else;
- "build" completes what a constructor left open (`Shell`), and never touches attributes;
- keys of dicts are texts, numbers and short tuples of them: hashing must not take for ever, nor
  showing a value in a message: a list may hold one list ten times, which holds one ten times, ...;
- what constructors copy is bounded by the size of the file.
"""

from __future__ import annotations

import pickletools
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


class RefusedError(Exception):
    """The file is not read; the text continues a sentence that begins with its name."""


@dataclass(frozen=True, eq=False)
class Constructor:  # no tuple, which a pickle could take for arguments
    """What a name in a pickle stands for that may be called: a function of ours."""

    build: Callable[..., Any]


class Shell:
    """A value of which the rest comes later: ``complete`` makes it from that."""

    def __init__(self, complete: Callable[[Any], Any]) -> None:
        self.complete = complete
        self.places: list[int] = []  # where the memo holds it


Names = Mapping[tuple[str, str], Any]
COPIES = 4
"""How often, at most, constructors may copy as many bytes as the file has."""
MOST_IN_KEY = 32
"""Parts of a tuple that is a key, and eights of bytes of a number."""

_AS_THEY_ARE = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_FIXED: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_SET": set,
}  # fmt: skip
_PYTHON2_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING"}
_NOTHING = {"PROTO", "FRAME"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def unpickle(file: Any, names: Names, persistent: Callable[[Any], Any], size: int) -> Any:
    """The value that the pickle at the place of ``file`` describes; the place is then behind it.

    persistent: what an id of something outside the pickle stands for. size: of the file, bytes.
    Raises RefusedError (it names what is not in ``names``), and what damaged bytes lead to:
    ValueError, TypeError, LookupError, ...
    """
    machine = _Machine(names, persistent, size)
    for opcode, arg, _ in pickletools.genops(file):
        machine.step(opcode.name, arg)
    return machine.result()


class _Machine:
    def __init__(self, names: Names, persistent: Callable[[Any], Any], size: int) -> None:
        self.names = names
        self.persistent = persistent
        self.allowance = COPIES * size + 4096
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.open = 0  # shells that are not complete

    def result(self) -> Any:
        if len(self.stack) != 1 or self.marks or self.open:
            raise ValueError("its pickle does not end as one value")
        return self.stack[0]

    def step(self, name: str, arg: Any) -> None:
        if name in _AS_THEY_ARE:
            self.stack.append(arg)
        elif name in _FIXED:
            self.stack.append(_FIXED[name]())
        elif name in _PYTHON2_TEXTS:
            self.stack.append(_text(arg))
        elif name in _TUPLES:
            self.stack.append(tuple(self._last(_TUPLES[name])))
        elif name not in _NOTHING:
            method = getattr(self, "_" + name.lower(), None)
            if method is None:
                raise RefusedError(
                    f"is not read: its pickle uses {name}, which plain values do not need"
                )
            method(*(() if arg is None else (arg,)))

    # -- the stack ---------------------------------------------------------------------------

    def _pop_value(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("its pickle takes more values than there are")
        return self.stack.pop()

    def _last(self, count: int) -> list[Any]:
        return [self._pop_value() for _ in range(count)][::-1]

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def _top(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("its pickle takes more values than there are")
        return self.stack[-1]

    def _stop(self) -> None:
        pass  # pickletools ends here too

    def _mark(self) -> None:
        self.marks.append(len(self.stack))

    def _pop(self) -> None:
        self._pop_value()

    def _pop_mark(self) -> None:
        self._since_mark()

    def _dup(self) -> None:
        self.stack.append(self._top())

    # -- the memo ----------------------------------------------------------------------------

    def _put(self, place: int) -> None:
        value = self.memo[place] = self._top()
        if isinstance(value, Shell):
            value.places.append(place)

    _binput = _long_binput = _put

    def _memoize(self) -> None:
        self._put(len(self.memo))

    def _get(self, place: int) -> None:
        self.stack.append(self.memo[place])

    _binget = _long_binget = _get

    # -- collections -------------------------------------------------------------------------

    def _tuple(self) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _list(self) -> None:
        self.stack.append(self._since_mark())

    def _dict(self) -> None:
        self.stack.append(_pairs(self._since_mark()))

    def _frozenset(self) -> None:
        self.stack.append(frozenset(map(checked_key, self._since_mark())))

    def _append(self) -> None:
        self._extend([self._pop_value()])

    def _appends(self) -> None:
        self._extend(self._since_mark())

    def _extend(self, values: list[Any]) -> None:
        _of_type(self._top(), list).extend(values)

    def _setitem(self) -> None:
        self._update(self._last(2))

    def _setitems(self) -> None:
        self._update(self._since_mark())

    def _update(self, values: list[Any]) -> None:
        target = _of_type(self._top(), dict, OrderedDict, Counter)
        for key, value in _pairs(values).items():
            target[key] = value

    def _additems(self) -> None:
        values = self._since_mark()
        _of_type(self._top(), set).update(map(checked_key, values))

    # -- names, and calls of what is allowed ---------------------------------------------------

    def _global(self, text: str) -> None:
        module, _, name = text.partition(" ")  # as pickletools gives the two lines
        self.stack.append(self._named(module, name))

    def _stack_global(self) -> None:
        module, name = self._last(2)
        self.stack.append(self._named(module, name))

    def _named(self, module: Any, name: Any) -> Any:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("a name in its pickle is no text")
        if (module, name) not in self.names:
            raise refusal(module, name)
        return self.names[module, name]

    def _reduce(self) -> None:
        function, arguments = self._last(2)
        self._call(function, arguments)

    _newobj = _reduce

    def _newobj_ex(self) -> None:
        function, arguments, named = self._last(3)
        if named:
            raise ValueError("its pickle calls something by names of arguments")
        self._call(function, arguments)

    def _inst(self, text: str) -> None:
        module, _, name = text.partition(" ")
        self._call(self._named(module, name), tuple(self._since_mark()))

    def _obj(self) -> None:
        function, *arguments = self._since_mark()
        self._call(function, tuple(arguments))

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Constructor) or not isinstance(arguments, tuple):
            raise RefusedError("is not read: its pickle calls what is no function that it may call")
        self._spend(arguments)
        value = function.build(*arguments)
        self.open += isinstance(value, Shell)
        self.stack.append(value)

    def _build(self) -> None:
        value, state = self._last(2)
        if isinstance(value, Shell):
            self._spend(state if isinstance(state, tuple) else (state,))
            complete = value.complete(state)
            self.open -= 1
            for place in value.places:
                self.memo[place] = complete
            value = complete
        elif type(value) in (OrderedDict, Counter):
            pass  # a state_dict's _metadata: versions of PyTorch's layers
        else:
            raise RefusedError(
                f"is not read: its pickle changes the inside of a {type(value).__name__}"
            )
        self.stack.append(value)

    def _spend(self, arguments: tuple[Any, ...]) -> None:
        """One text in the file may be copied by any number of calls; not here."""
        sized = str | bytes | bytearray | list | tuple | dict | set | frozenset
        self.allowance -= sum(len(a) for a in arguments if isinstance(a, sized))
        if self.allowance < 0:
            raise RefusedError("is not read: unpacked, it would be many times as large")

    def _persid(self, saved_id: str) -> None:
        self.stack.append(self.persistent(saved_id))

    def _binpersid(self) -> None:
        self.stack.append(self.persistent(self._pop_value()))


def _text(arg: str) -> str:
    """A text of Python 2, of which pickletools read each byte as a letter."""
    try:
        return arg.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return arg


def _pairs(values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise ValueError("a dict in its pickle has a key without a value")
    return {checked_key(k): v for k, v in zip(values[::2], values[1::2], strict=True)}


def checked_key(value: Any, depth: int = 2) -> Any:
    """``value``, if it may be a key of a dict, or be in a set."""
    if isinstance(value, int) and value.bit_length() > 64 * MOST_IN_KEY:
        raise RefusedError("is not read: a number of many digits is a key of a dict in it")
    if value is None or isinstance(value, str | bytes | int | float | complex | np.generic):
        return value
    if isinstance(value, tuple) and depth and len(value) <= MOST_IN_KEY:
        for part in value:
            checked_key(part, depth - 1)
        return value
    if isinstance(value, np.dtype):
        return value
    raise RefusedError(f"is not read: a {type(value).__name__} is a key of a dict in it")


def _of_type(value: Any, *types: type) -> Any:
    if type(value) not in types:
        raise ValueError(f"its pickle puts items into a {type(value).__name__}")
    return value


def refusal(module: str, name: str) -> RefusedError:
    """Why a name is not read, and what to do instead."""
    full = f"{module}.{name}"
    is_class = name.rpartition(".")[2][:1].isupper()
    if is_class and module.partition(".")[0] not in {*sys.stdlib_module_names, "__builtin__"}:
        return RefusedError(
            f"holds a whole module or another object ({full}), which only its own code can build; "
            "in PyTorch, save its weights alone: torch.save(model.state_dict(), path)"
        )
    if full in _KINDS:
        return RefusedError(f"holds {_KINDS[full]}")
    return RefusedError(
        f"is refused: it names {full}, which is no tensor or plain value, and code in a file is "
        "never run; in PyTorch, save tensors and plain values only"
    )


_KINDS = {
    "torch._utils._rebuild_qtensor": "a quantized tensor; save tensor.dequantize()",
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor; save tensor.to_dense()",
    "torch._utils._rebuild_nested_tensor": "a nested tensor; save tensor.unbind()",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor without values (on 'meta')",
}
