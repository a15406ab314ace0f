"""Functions of single samples as functions of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chainrule.autograd.engine import repetition
from chainrule.autograd.graph import Variable
from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.axes import axis_of
from chainrule.ops.indexing import select
from chainrule.ops.joining import stack
from chainrule.random import default_generator


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that applies ``func`` to each sample of a batch and joins what it gives.

    in_dims: which axis of each argument counts the samples, None for what all samples share; one
    for all arguments, or a tuple of one each, where an argument of nested tuples, lists or dicts
    may have as many. Arguments given by name are shared. out_dims: where that axis goes in the
    results, in the same way. randomness: whether ``func`` may draw random numbers:
    "error" (no), "different" for each sample, or the "same" for all. chunk_size is accepted.
    Samples are computed one after the other, so this saves writing, not time; where functions
    take a batch axis by themselves, give them one. Gradients flow through, and calls nest.
    Raises ConfigError and ShapeError (samples are not as many in all arguments, or none).
    """
    if randomness not in ("error", "different", "same"):
        raise ConfigError(f"vmap: randomness is 'error', 'different' or 'same', got {randomness!r}")

    def batched(*args: Any, **kwargs: Any) -> Any:
        dims = in_dims if isinstance(in_dims, tuple | list) else [in_dims] * len(args)
        if len(dims) != len(args):
            raise ConfigError(f"vmap: {len(dims)} in_dims for {len(args)} arguments")
        outer, state = repetition.is_awaited, default_generator.get_state()
        count, results = _count(args, dims), []
        for i in range(count):
            repetition.is_awaited = outer or i < count - 1
            try:
                results.append(func(*_picked(args, dims, i), **kwargs))
            finally:
                repetition.is_awaited = outer
            if randomness != "different" and default_generator.get_state() != state:
                if randomness == "error":
                    raise ConfigError(
                        "vmap: the function draws random numbers; say whether they are to be "
                        "randomness='different' for each sample, or the 'same'"
                    )
                if i < count - 1:
                    default_generator.set_state(state)
        return _joined(results, out_dims)

    return batched


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, buffers) by name, each stacked over models of one class: for `vmap`.

    The parameters are leaves of their own, not those of the models.
    """
    if not models:
        raise ConfigError("stack_module_state: expected at least one model")
    if len({type(model) for model in models}) > 1:
        raise ConfigError("stack_module_state: the models must all be of one class")
    if len({model.training for model in models}) > 1:
        raise ConfigError("stack_module_state: all models must be in training, or none")
    of_models = [dict(m.named_parameters()) for m in models]
    parameters = {
        name: _stacked(of_models, name).requires_grad_(first.requires_grad)
        for name, first in of_models[0].items()
    }
    of_models = [dict(m.named_buffers()) for m in models]
    return parameters, {name: _stacked(of_models, name) for name in of_models[0]}


def _stacked(of_models: Sequence[dict[str, Any]], name: str) -> Any:
    return stack([tensors[name].detach() for tensors in of_models])


def _parts(tree: Any, dims: Any) -> Iterator[tuple[Any, Any]]:
    """The branches of a tuple, list or dict, each with its dims: its own, or all the same."""
    branches = list(tree.values()) if isinstance(tree, dict) else list(tree)
    if not isinstance(dims, dict | tuple | list):
        return zip(branches, [dims] * len(branches), strict=True)
    if isinstance(tree, dict) != isinstance(dims, dict) or len(dims) != len(branches):
        raise ConfigError(
            f"vmap: the dims {dims} do not fit a {type(tree).__name__} of {len(branches)}"
        )
    own = [dims[key] for key in tree] if isinstance(dims, dict) else dims
    return zip(branches, own, strict=True)


def _count(tree: Any, dims: Any) -> int:
    """How many samples there are."""
    counts = set(_counts(tree, dims))
    if not counts:
        raise ConfigError("vmap: no argument counts the samples: in_dims are all None")
    if len(counts) > 1:
        raise ShapeError(f"vmap: the arguments have different numbers of samples: {counts}")
    (count,) = counts
    if count == 0:
        raise ShapeError("vmap: there must be at least one sample")
    return count


def _counts(tree: Any, dims: Any) -> Iterator[int]:
    if isinstance(tree, Variable):
        if dims is not None:
            yield tree.array.shape[axis_of("vmap", dims, tree.array.ndim)]
    elif isinstance(tree, dict | tuple | list):
        for branch, own in _parts(tree, dims):
            yield from _counts(branch, own)
    elif dims is not None:
        raise ConfigError(
            f"vmap: in_dims are {dims} for a {type(tree).__name__}; only tensors have samples, "
            "None shares it among all"
        )


def _picked(tree: Any, dims: Any, i: int) -> Any:
    """The tree of sample i."""
    if isinstance(tree, Variable):
        return tree if dims is None else select(tree, dims, i)
    if not isinstance(tree, dict | tuple | list):
        return tree
    return _like(tree, [_picked(branch, own, i) for branch, own in _parts(tree, dims)])


def _joined(results: Sequence[Any], dims: Any) -> Any:
    """The results of all samples as one tree."""
    first = results[0]
    if isinstance(first, Variable):
        return first if dims is None else stack(list(results), dims)
    if not isinstance(first, dict | tuple | list):
        raise ConfigError(f"vmap: the function must return tensors, got {type(first).__name__}")
    of_samples = [list(r.values()) if isinstance(r, dict) else list(r) for r in results]
    columns = zip(*of_samples, strict=True)
    branches = [
        _joined(column, own) for column, (_, own) in zip(columns, _parts(first, dims), strict=True)
    ]
    return _like(first, branches)


def _like(tree: Any, branches: Sequence[Any]) -> Any:
    """A tuple, list or dict like ``tree`` with other branches."""
    if isinstance(tree, dict):
        return type(tree)(zip(tree, branches, strict=True))
    return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
