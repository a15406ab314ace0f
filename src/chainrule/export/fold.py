"""Batch norm folded into the layer before it: fewer steps, the same outputs.

In evaluation batch norm is y = s·(x - μ) + β per channel, s = γ/√(σ² + ε). Behind a convolution
or a linear layer, x = W∗z + b, it makes y = (s·W)∗z + (s·(b - μ) + β): one layer of the same kind.
Padding does not matter, as it is in z. See docs/derivations/fold_batch_norm.md.

Which layer is "before" is seen, not guessed (`chainrule.export.neighbours`); and what comes out
is compared with what came out before, once with the statistics the model has and once with random
ones, among which an equality by chance cannot hide.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from chainrule import nn
from chainrule.autograd import no_grad
from chainrule.errors import ChainruleError, ConfigError, ExportError
from chainrule.export.neighbours import BATCH_NORMS, find_pairs
from chainrule.nn.utils.fusion import folded_parameters
from chainrule.tensor import Tensor

M = TypeVar("M", bound=nn.Module)
Sample = tuple[Any, ...]
TOLERANCE = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-10}
"""Of the largest output: what rounding may change."""


class Folding(NamedTuple):
    """What `fold_batch_norm` did."""

    folded: dict[str, tuple[str, ...]]
    """Names of batch norms, and of the layers that do their work now."""
    left: dict[str, str]
    """Names of batch norms that stayed, and why."""
    error: float
    """The largest difference between an output and what it was, as a part of the largest."""

    def __str__(self) -> str:
        folded, left = len(self.folded), len(self.left)
        lines = [f"{folded} of {folded + left} batch norms folded, error {self.error:.1e}"]
        lines += [f"  {name} into {' and '.join(into)}" for name, into in self.folded.items()]
        lines += [f"  {name} left: {why}" for name, why in self.left.items()]
        return "\n".join(lines)


def fold_batch_norm(model: M, *sample: Any, tolerance: float | None = None) -> M:
    """A copy of a model, in evaluation mode, whose convolutions do their batch norms' work too.

    Each batch norm whose input is always the result of one convolution (1-3-d, transposed,
    grouped) or linear layer, used nowhere else, is folded into that layer and replaced by
    `nn.Identity`; the others stay. The model is left as it is. ``folding`` of the copy, a
    `Folding`, lists both, and the reasons.

    sample: what the model is called with to see which layer is before which; more than one batch
    norm's worth of code paths cannot be seen in one call, so a pair whose calls stand under
    different conditions stays too. Left out, noise that suits the first layer is tried.
    tolerance: how far outputs may move, as a part of the largest (None: by dtype, 10⁻⁴ for
    float32).
    Raises ExportError, naming the layer, if outputs move further, ConfigError if no sample fits.
    Source: Jacob et al. 2018, arXiv:1712.05877, §3.2.
    """
    folded = copy.deepcopy(model).eval()
    samples = [sample] if sample else _made_up(folded)
    pairs, left = find_pairs(folded, samples)
    _prove(_with_random_statistics(folded), pairs, samples, tolerance)
    error = _prove(folded, pairs, samples, tolerance)
    _fold(folded, pairs)
    folded.folding = Folding(pairs, left, error)
    return folded


Pairs = Mapping[str, tuple[str, ...]]


def _fold(model: nn.Module, pairs: Pairs) -> None:
    """In place."""
    for norm_name, layers in pairs.items():
        norm: Any = model.get_submodule(norm_name)
        for name in layers:
            layer: Any = model.get_submodule(name)
            layer.weight, layer.bias = folded_parameters(layer, norm)
    norms = [model.get_submodule(name) for name in pairs]
    for parent in list(model.modules()):
        for key, child in parent._modules.items():
            if any(child is norm for norm in norms):
                parent._modules[key] = nn.Identity().eval()


# -- proof -------------------------------------------------------------------------------------


def _prove(model: nn.Module, pairs: Pairs, samples: list[Sample], tolerance: float | None) -> float:
    """The error of folding all pairs; ExportError if it is more than rounding."""
    before = _outputs(model, samples)
    error, allowed = _error_of(model, pairs, samples, before), _tolerance(before, tolerance)
    if error <= allowed:
        return error
    for norm, layers in pairs.items():
        alone = _error_of(model, {norm: layers}, samples, before)
        if not alone <= allowed:
            raise ExportError(
                f"fold_batch_norm: folding {norm} into {' and '.join(layers)} changes the outputs "
                f"by {alone:.1e} of the largest, {allowed:.0e} allowed; is the layer's result used "
                "in a way that the graph does not show?"
            )
    raise ExportError(
        f"fold_batch_norm: folding {len(pairs)} batch norms changes the outputs by {error:.1e} of "
        f"the largest, {allowed:.0e} allowed, though none does alone; raise tolerance if this is "
        "rounding"
    )


def _error_of(
    model: nn.Module, pairs: Pairs, samples: list[Sample], before: list[np.ndarray[Any, Any]]
) -> float:
    folded = copy.deepcopy(model)
    _fold(folded, pairs)
    after = _outputs(folded, samples)
    return max((_distance(a, b) for a, b in zip(before, after, strict=True)), default=0.0)


def _distance(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> float:
    """The largest difference, as a part of the largest value; NaN if there are new NaNs."""
    usual = np.isfinite(before)
    if not np.array_equal(before[~usual], after[~usual], equal_nan=True):
        return float("nan")
    a, b = before[usual].astype(np.float64), after[usual].astype(np.float64)
    largest = np.abs(a).max(initial=0.0)
    return float(np.abs(a - b).max(initial=0.0) / (largest if largest else 1.0))


def _tolerance(outputs: list[np.ndarray[Any, Any]], wanted: float | None) -> float:
    if wanted is not None:
        return wanted
    return max((TOLERANCE.get(str(y.dtype), 0.0) for y in outputs), default=0.0)


def _outputs(model: nn.Module, samples: list[Sample]) -> list[np.ndarray[Any, Any]]:
    with no_grad():
        return [np.array(t.array) for sample in samples for t in tensors_in(model(*sample))]


def tensors_in(result: Any) -> Iterator[Tensor]:
    """All tensors in what a model returned."""
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from tensors_in(value)
    elif isinstance(result, tuple | list):
        for value in result:
            yield from tensors_in(value)


def _with_random_statistics(model: M) -> M:
    """A copy whose batch norms scale and shift each channel by amounts of its own."""
    changed = copy.deepcopy(model)
    rng = np.random.default_rng(0)
    for norm in changed.modules():
        if isinstance(norm, BATCH_NORMS):
            for name, least, most in (
                ("running_mean", -0.5, 0.5), ("running_var", 0.5, 2.0),
                ("weight", 0.5, 1.5), ("bias", -0.5, 0.5),
            ):  # fmt: skip
                values = getattr(norm, name)
                if values is not None:
                    values.array[...] = rng.uniform(least, most, values.array.shape)
    return changed


# -- samples -----------------------------------------------------------------------------------

SIZES = (32, 28, 64, 224, 96, 128, 227, 299, 16, 8)
"""Of images, tried in this order."""


def _made_up(model: nn.Module) -> list[Sample]:
    """Noise that the model takes: two images, and one."""
    refusal = None
    for shape, dtype in _likely_shapes(model):
        rng = np.random.default_rng(0)
        samples = [(Tensor(rng.standard_normal((n, *shape)).astype(dtype)),) for n in (2, 1)]
        try:
            _outputs(model, samples)
        except (ChainruleError, ValueError, TypeError, RuntimeError, LookupError) as error:
            refusal = error
            continue
        return samples
    raise ConfigError(
        "fold_batch_norm: no noise suits the model; pass a sample of what it takes, as in "
        "fold_batch_norm(model, images)"
    ) from refusal


def _likely_shapes(model: nn.Module) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Of one input of the first layer that says what it takes."""
    for layer in model.modules():
        weight = getattr(layer, "weight", None)
        dtype = weight.dtype if isinstance(weight, Tensor) else np.dtype(np.float32)
        if isinstance(layer, nn.Linear):
            yield (layer.in_features,), dtype
            return
        if hasattr(layer, "in_channels") and hasattr(layer, "kernel_size"):
            axes = len(layer.kernel_size)
            yield from (((layer.in_channels, *(n,) * axes), dtype) for n in SIZES)
            return
        if isinstance(layer, BATCH_NORMS):
            for axes in layer.axes:
                positions = axes - 2
                yield from (((layer.num_features, *(n,) * positions), dtype) for n in SIZES)
            return
