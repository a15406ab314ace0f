"""Loading a module's state: what of a dict of arrays goes where, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from chainrule.autograd import no_grad
from chainrule.errors import CheckpointError, DTypeError
from chainrule.nn.hooks import before_loading, hooks_after_loading
from chainrule.nn.parameter import Parameter, is_lazy
from chainrule.tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` did not find, and what it did not know."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self[0]}, unexpected_keys={self[1]})"


def load_state(
    module: Any, state_dict: Mapping[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """See `chainrule.nn.Module.load_state_dict`."""
    if not isinstance(state_dict, Mapping):
        raise DTypeError(
            "load_state_dict: expects a dict of names and tensors, as state_dict() gives; "
            f"got {type(state_dict).__name__}"
        )
    own = dict(_named_state(module))
    state_dict = dict(state_dict)  # which the hooks may change
    missing, unexpected, errors = before_loading(module, state_dict, strict)
    forgiven = _forgiven(module)
    missing += [name for name in own if name not in state_dict and name not in forgiven]
    unexpected += [name for name in state_dict if name not in own]
    both_lazy = {n for n in own if is_lazy(own[n]) and is_lazy(state_dict.get(n))}
    found = [n for n in own if n in state_dict and n not in both_lazy]
    values = {n: _as_array(n, state_dict[n]) for n in found}
    misfits = [n for n, v in values.items() if not is_lazy(own[n]) and v.shape != own[n].shape]
    if misfits:
        shapes = [f"{n} {values[n].shape} for {own[n].array.shape}" for n in misfits]
        errors.append(f"wrong shape {len(misfits)}: {_listed(shapes)}")
    keys = IncompatibleKeys(missing, unexpected)
    hooks = hooks_after_loading(module)
    if errors or not hooks:
        _complain_of_misfits(module, keys if strict else IncompatibleKeys([], []), errors)
    with no_grad():
        for name, value in values.items():
            if is_lazy(own[name]):
                own[name].materialize(value.shape)  # type: ignore[attr-defined]
            if assign:
                _replace(module, name, state_dict[name])
            else:
                own[name].copy_(Tensor(value))
    for owner, hook in hooks:
        hook(owner, keys)
    if strict:
        _complain_of_misfits(module, keys, [])
    return keys


def _named_state(module: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """(dotted name, parameter or persistent buffer) of a module and all below it."""
    for name, member in module._own_state():
        yield prefix + name, member
    for name, below in module._modules.items():
        if below is not None:
            yield from _named_state(below, f"{prefix}{name}.")


def _forgiven(module: Any) -> set[str]:
    """Dotted names of state that old checkpoints do not have."""
    paths = module.named_modules(remove_duplicate=False)
    return {f"{p}.{name}" if p else name for p, m in paths for name in m._newer_state}


def _replace(module: Any, target: str, value: Any) -> None:
    """Put ``value`` itself in the place of a parameter or buffer with a dotted name."""
    path, _, name = target.rpartition(".")
    owner = module.get_submodule(path)
    tensor = value if isinstance(value, Tensor) else Tensor(np.asarray(value))
    old = owner._parameters.get(name)
    if old is not None and not isinstance(tensor, Parameter):
        tensor = Parameter(tensor, requires_grad=old.requires_grad)
    setattr(owner, name, tensor)


def _complain_of_misfits(module: Any, keys: IncompatibleKeys, errors: list[str]) -> None:
    """Raise CheckpointError if there is anything to complain of."""
    kinds = zip(("missing", "unexpected"), keys, strict=True)
    problems = [f"{kind} {len(names)}: {_listed(names)}" for kind, names in kinds if names]
    if problems or errors:
        raise CheckpointError(
            f"load_state_dict: the weights do not fit {type(module).__name__}\n  "
            + "\n  ".join([*problems, *errors])
        )


def _as_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    value = value.array if isinstance(value, Tensor) else np.asarray(value)
    if value.dtype.kind not in "biuf":
        raise CheckpointError(f"load_state_dict: {name!r} holds {value.dtype}, not numbers")
    return value


def _listed(names: list[str], most: int = 8) -> str:
    """The names in one line, the last of a long list left out."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
