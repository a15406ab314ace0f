"""One step of an update rule, on a list of parameters in place. Formulas: chainrule.optim."""

import math
from collections.abc import Sequence

import numpy as np

__all__ = [
    "adadelta_step",
    "adagrad_step",
    "adam_step",
    "adamax_step",
    "asgd_step",
    "moments_step",
    "momentum_step",
    "rmsprop_step",
    "rprop_step",
    "sgd_step",
]

Arrays = Sequence[np.ndarray]


def sgd_step(
    weights: Arrays,
    grads: Arrays,
    buffers: Arrays | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """w ← w - lr d, changing weights and buffers in place.

        g ← -g if maximize;  g ← g + weight_decay w
        v ← momentum v + (1 - dampening) g
        d = g without buffers, g + momentum v if nesterov, else v

    weights, grads and buffers (v; None: no momentum) have the same shapes and one dtype; grads
    are only read. No two arrays share memory.
    """
    for w, g, v in zip(weights, grads, _each(buffers, weights), strict=True):
        step = _slope(w, g, weight_decay, maximize)
        if v is not None:
            v *= momentum
            v += step * (1 - dampening) if dampening else step
            step = step + v * momentum if nesterov else v
        w -= step * lr


def adam_step(
    weights: Arrays,
    grads: Arrays,
    means: Arrays,
    squares: Arrays,
    peaks: Arrays | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> None:
    """w ← w - lr m̂/(√v̂ + eps), changing all but grads in place.

        g ← -g if maximize
        w ← (1 - lr weight_decay) w if decoupled, else g ← g + weight_decay w
        m ← beta1 m + (1 - beta1) g,   m̂ = m/(1 - beta1ᵗ)
        v ← beta2 v + (1 - beta2) g²,  v̂ = v/(1 - beta2ᵗ), or of its peak so far (amsgrad)

    weights, grads, means (m), squares (v) and peaks (None: not amsgrad) have the same shapes
    and one dtype; step (t) counts from 1. No two arrays share memory.
    """
    # m̂/(√v̂ + ε) = c₂/c₁ · m/(√v + c₂ε) with c₁ = 1 - β₁ᵗ and c₂ = √(1 - β₂ᵗ): fewer passes
    c1, c2 = 1 - beta1**step, math.sqrt(1 - beta2**step)
    lists = (weights, grads, means, squares, _each(peaks, weights))
    for w, g, m, v, peak in zip(*lists, strict=True):
        slope = _slope(w, g, 0 if decoupled else weight_decay, maximize)
        if decoupled:
            w *= 1 - lr * weight_decay
        m *= beta1
        m += slope * (1 - beta1)
        v *= beta2
        v += slope * slope * (1 - beta2)
        largest = v if peak is None else np.maximum(v, peak, out=peak)
        w -= m / (np.sqrt(largest) + c2 * eps) * (lr * c2 / c1)


def momentum_step(
    weights: Arrays,
    grads: Arrays,
    velocities: Arrays,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """The lectures' form: w ← w + v, changing weights and velocities (v) in place.

        g ← -g if maximize;  g ← g + weight_decay w
        v ← momentum v - lr g
        w ← w + v, or w ← w - momentum (v before) + (1 + momentum) v if nesterov

    All have the same shapes and one dtype. No two arrays share memory.
    """
    for w, g, v in zip(weights, grads, velocities, strict=True):
        before = v * momentum
        np.subtract(before, _slope(w, g, weight_decay, maximize) * lr, out=v)
        w += v + v * momentum - before if nesterov else v


def moments_step(
    weights: Arrays,
    grads: Arrays,
    means: Arrays,
    squares: Arrays,
    mean_rate: float,
    grad_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    keep: float,
    adaptive: bool,
    maximize: bool,
) -> None:
    """w ← keep w - (mean_rate m + grad_rate g)/(√v + eps), changing all but grads in place.

        g ← -g if maximize;  g ← g + weight_decay w
        m ← beta1 m + (1 - beta1) g
        v ← beta2 v + (1 - beta2) g²

    Not adaptive: without the divisor. weights, grads, means (m) and squares (v) have the same
    shapes and one dtype. No two arrays share memory.
    """
    for w, g, m, v in zip(weights, grads, means, squares, strict=True):
        slope = _slope(w, g, weight_decay, maximize)
        m *= beta1
        m += slope * (1 - beta1)
        v *= beta2
        v += slope * slope * (1 - beta2)
        step = m * mean_rate + slope * grad_rate if grad_rate else m * mean_rate
        if keep != 1:
            w *= keep
        w -= step / (np.sqrt(v) + eps) if adaptive else step


def adamax_step(
    weights: Arrays,
    grads: Arrays,
    means: Arrays,
    norms: Arrays,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """w ← w - lr m/u, changing all but grads in place.

        g ← -g if maximize;  g ← g + weight_decay w
        m ← beta1 m + (1 - beta1) g
        u ← max(beta2 u, |g| + eps)

    weights, grads, means (m) and norms (u) have the same shapes and one dtype. No two arrays
    share memory.
    """
    for w, g, m, u in zip(weights, grads, means, norms, strict=True):
        slope = _slope(w, g, weight_decay, maximize)
        m *= beta1
        m += slope * (1 - beta1)
        np.maximum(u * beta2, np.abs(slope) + eps, out=u)
        w -= m / u * lr


def adagrad_step(
    weights: Arrays,
    grads: Arrays,
    sums: Arrays,
    lr: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """w ← w - lr g/(√s + eps), changing weights and sums (s) in place.

        g ← -g if maximize;  g ← g + weight_decay w
        s ← s + g²

    All have the same shapes and one dtype. No two arrays share memory.
    """
    for w, g, s in zip(weights, grads, sums, strict=True):
        slope = _slope(w, g, weight_decay, maximize)
        s += slope * slope
        w -= slope / (np.sqrt(s) + eps) * lr


def rmsprop_step(
    weights: Arrays,
    grads: Arrays,
    squares: Arrays,
    means: Arrays | None,
    buffers: Arrays | None,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """w ← w - lr d, changing all but grads in place.

        g ← -g if maximize;  g ← g + weight_decay w
        v ← alpha v + (1 - alpha) g²
        m ← alpha m + (1 - alpha) g
        d = g/(√(v - m²) + eps), with means None g/(√v + eps); with buffers
        b ← momentum b + d, and d = b

    v - m² is 0 where rounding makes it negative. weights, grads, squares (v), means (m) and
    buffers (b) have the same shapes and one dtype. No two arrays share memory.
    """
    lists = (weights, grads, squares, _each(means, weights), _each(buffers, weights))
    for w, g, v, m, b in zip(*lists, strict=True):
        slope = _slope(w, g, weight_decay, maximize)
        v *= alpha
        v += slope * slope * (1 - alpha)
        spread = v
        if m is not None:
            m *= alpha
            m += slope * (1 - alpha)
            spread = np.maximum(v - m * m, 0)
        step = slope / (np.sqrt(spread) + eps)
        if b is not None:
            b *= momentum
            b += step
            step = b
        w -= step * lr


def adadelta_step(
    weights: Arrays,
    grads: Arrays,
    squares: Arrays,
    deltas: Arrays,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """w ← w - lr δ, changing all but grads in place.

        g ← -g if maximize;  g ← g + weight_decay w
        v ← rho v + (1 - rho) g²
        δ = √(d + eps)/√(v + eps) g
        d ← rho d + (1 - rho) δ²

    weights, grads, squares (v) and deltas (d) have the same shapes and one dtype. No two arrays
    share memory.
    """
    for w, g, v, d in zip(weights, grads, squares, deltas, strict=True):
        slope = _slope(w, g, weight_decay, maximize)
        v *= rho
        v += slope * slope * (1 - rho)
        step = np.sqrt(d + eps) / np.sqrt(v + eps) * slope
        d *= rho
        d += step * step * (1 - rho)
        w -= step * lr


def asgd_step(
    weights: Arrays,
    grads: Arrays,
    averages: Arrays,
    lr: float,
    keep: float,
    share: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """w ← keep w - lr g; a ← a + share (w - a), changing weights and averages (a) in place.

        g ← -g if maximize;  g ← g + weight_decay w

    All have the same shapes and one dtype. No two arrays share memory.
    """
    for w, g, a in zip(weights, grads, averages, strict=True):
        step = _slope(w, g, weight_decay, maximize) * lr
        w *= keep
        w -= step
        if share == 1:
            a[...] = w
        else:
            a += (w - a) * share


def rprop_step(
    weights: Arrays,
    grads: Arrays,
    before: Arrays,
    sizes: Arrays,
    shrink: float,
    grow: float,
    smallest: float,
    largest: float,
    maximize: bool,
) -> None:
    """w ← w - s sign(g), changing all but grads in place.

        g ← -g if maximize
        s ← s grow where g (g before) > 0, s shrink where it is < 0; then into
            [smallest, largest]
        g ← 0 where g (g before) < 0, which is also what is kept as the g before

    weights, grads, before and sizes (s) have the same shapes and one dtype. No two arrays share
    memory.
    """
    for w, g, old, size in zip(weights, grads, before, sizes, strict=True):
        slope = -g if maximize else g
        agreement = slope * old
        size *= np.where(agreement > 0, grow, np.where(agreement < 0, shrink, 1)).astype(size.dtype)
        np.clip(size, smallest, largest, out=size)
        old[...] = np.where(agreement < 0, 0, slope)
        w -= np.sign(old) * size


def _slope(w: np.ndarray, g: np.ndarray, weight_decay: float, maximize: bool) -> np.ndarray:
    """The gradient that the rules begin with; may be g itself."""
    slope: np.ndarray = -g if maximize else g
    return slope + w * weight_decay if weight_decay else slope


def _each(arrays: Arrays | None, weights: Arrays) -> Sequence[np.ndarray | None]:
    """The arrays, or a None for each weight."""
    return [None] * len(weights) if arrays is None else arrays
