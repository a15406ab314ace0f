"""`summary`: the account of a model, from passes over made-up inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from chainrule import models
from chainrule.errors import ConfigError
from chainrule.inspect.accounts import Row, Shape, Summary
from chainrule.inspect.bookkeeping import Bookkeeping
from chainrule.inspect.recording import record
from chainrule.nn import Module
from chainrule.tensor import Tensor
from chainrule.tensor.creation import from_numpy

DIRECTLY = 8
FROM = (2, 3, 4)
"""A batch above the former is counted from these: batch norm may need two examples."""

Input = Sequence[int] | Tensor


def summary(
    model: Module,
    input_shape: Input | Sequence[Input] | Mapping[str, Input] | None = None,
    *,
    batch_size: int | None = 1,
    training: bool = False,
    dtype: Any = None,
) -> Summary:
    """Count what a model computes, from the graph that one forward pass records.

    input_shape: of one example, without the batch: (3, 224, 224); of several inputs a list of
    shapes, or a dict by the names of forward's arguments. A Tensor in place of a shape is taken
    as it is, with its batch: for integers, or where values matter. None: for a model of the
    registry, the images it was made for.
    batch_size: examples in the batch; None: the model takes one without a batch axis.
    training: count a step of training mode (dropout, batch statistics, auxiliary heads);
    otherwise the model predicts, and what is kept is what fine-tuning it in that mode would.
    dtype: of the inputs; None: that of the model's first parameter of floats.

    A large batch is not run: what it costs follows from three small ones, where all grows evenly.
    The model is not changed: neither its modes and buffers nor the random streams.
    Raises ConfigError (no such input), and what the model itself raises.
    """
    if not isinstance(model, Module):
        raise ConfigError(f"summary: takes a Module, got {type(model).__name__}")
    if isinstance(model, models.NearestNeighbors):
        raise ConfigError(
            "summary: a knn has no layers to count; it compares an image with every one it keeps"
        )
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise ConfigError(f"summary: batch_size must be a whole number of at least 1: {batch_size}")
    if input_shape is None:
        input_shape = _own_shape(model)
    if batch_size is not None and batch_size > DIRECTLY and not _has_tensors(input_shape):
        small = [_count(model, input_shape, n, training, dtype) for n in FROM]
        large = of_larger_batch(small, batch_size)
        if large is not None:
            return large
    return _count(model, input_shape, batch_size, training, dtype)


def _count(
    model: Module, input_shape: Any, batch_size: int | None, training: bool, dtype: Any
) -> Summary:
    """The account of one pass with this batch."""
    args, kwargs = _examples(model, input_shape, batch_size, dtype)
    recording = record(model, args, kwargs, training)
    rows = Bookkeeping(recording, 1 if batch_size is None else 2).rows()
    name = getattr(model, "config", {}).get("name") or type(model).__name__
    used = {name for call in recording.calls for name in call.parameters}
    return Summary(
        model=name,
        inputs=tuple(v.shape for v in recording.inputs),
        batch=batch_size,
        training=training,
        operations=rows,
        parameters={name: v.size for name, v in recording.parameters.items()},
        trainable=recording.trainable,
        unused=tuple(name for name in recording.parameters if name not in used),
        aliases=recording.aliases,
        classes=recording.classes,
        weight_bytes=sum(v.size * v.dtype.itemsize for v in recording.parameters.values()),
    )


def _examples(
    model: Module, given: Any, batch_size: int | None, dtype: Any
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Inputs of these shapes."""
    if dtype is None:
        floats = (p.dtype for p in model.parameters() if np.dtype(p.dtype).kind == "f")
        dtype = next(floats, np.dtype(np.float32))
    batch = () if batch_size is None else (batch_size,)

    def example(shape: Any) -> Tensor:
        if isinstance(shape, Tensor):
            return shape
        if not isinstance(shape, Sequence) or not all(
            isinstance(n, int | np.integer) and n > 0 for n in shape
        ):
            raise ConfigError(
                "summary: input_shape is a shape such as (3, 224, 224), without the batch, a list "
                f"of shapes, or a dict of them by name; got {shape!r}"
            )
        draw = np.random.default_rng(0).standard_normal((*batch, *shape))
        return from_numpy(np.asarray(draw, np.dtype(dtype)))

    if isinstance(given, Mapping):
        return [], {name: example(shape) for name, shape in given.items()}
    several = isinstance(given, Sequence) and any(isinstance(g, Sequence | Tensor) for g in given)
    if not several:
        return [example(given)], {}
    return [example(shape) for shape in given], {}


def _own_shape(model: Module) -> Shape:
    """The images that a model of the registry was made for."""
    config = getattr(model, "config", None) or {}
    if config.get("name") not in models.list():
        raise ConfigError(
            "summary: input_shape is needed, such as (3, 224, 224): this is no model of the "
            "registry, which would know"
        )
    entry = models.entry(config["name"])
    size = config.get("image_size", entry.image_size)
    height, width = (size, size) if isinstance(size, int) else size
    return config.get("in_channels", entry.in_channels), height, width


def _has_tensors(given: Any) -> bool:
    if isinstance(given, Mapping):
        given = [*given.values()]
    return any(isinstance(v, Tensor) for v in (given if isinstance(given, Sequence) else [given]))


# -- larger batches ------------------------------------------------------------------------------


def of_larger_batch(small: Sequence[Summary], batch: int) -> Summary | None:
    """The account of a larger batch, from those of three that follow each other.

    None where some number does not grow evenly, or the operations differ.
    """
    first = small[0]
    steps = batch - (first.batch or 0)
    if len({len(s.operations) for s in small}) > 1:
        return None
    rows = []
    for three in zip(*(s.operations for s in small), strict=True):
        row = _row_of_larger_batch(three, steps)
        if row is None:
            return None
        rows.append(row)
    inputs = tuple(_at(shapes, steps) for shapes in zip(*(s.inputs for s in small), strict=True))
    return replace(first, batch=batch, inputs=inputs, operations=tuple(rows))


GROWS = ("output", "macs", "flops", "backward_input", "backward_weight", "values", "bytes", "kept")


def _row_of_larger_batch(rows: Sequence[Row], steps: int) -> Row | None:
    changes = {}
    for f in fields(Row):
        values = [getattr(row, f.name) for row in rows]
        if f.name in GROWS and None not in values:
            changes[f.name] = _at(values, steps)
            if changes[f.name] is None:
                return None
        elif values.count(values[0]) < len(values):
            return None
    return replace(rows[0], **changes)


def _at(values: Sequence[Any], steps: int) -> Any:
    """The value so many steps after the first of three; None where they do not lie on a line."""
    a, b, c = values
    if isinstance(a, tuple):
        if not len(a) == len(b) == len(c):
            return None
        each = [_at(axis, steps) for axis in zip(a, b, c, strict=True)]
        return None if None in each else tuple(each)
    return a + steps * (b - a) if c - b == b - a else None
