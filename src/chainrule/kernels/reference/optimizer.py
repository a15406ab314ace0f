"""One step of an update rule, on a list of parameters in place. Formulas: chainrule.optim."""

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["adam_step", "sgd_step"]


def sgd_step(
    weights: Sequence[np.ndarray],
    grads: Sequence[np.ndarray],
    buffers: Sequence[np.ndarray] | None,
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
    no_buffers: list[np.ndarray | None] = [None] * len(weights)
    for w, g, v in zip(weights, grads, buffers or no_buffers, strict=True):
        step = -g if maximize else g
        if weight_decay:
            step = step + w * weight_decay
        if v is not None:
            v *= momentum
            v += step * (1 - dampening) if dampening else step
            step = step + v * momentum if nesterov else v
        w -= step * lr


def adam_step(
    weights: Sequence[np.ndarray],
    grads: Sequence[np.ndarray],
    means: Sequence[np.ndarray],
    squares: Sequence[np.ndarray],
    peaks: Sequence[np.ndarray] | None,
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
    no_peaks: list[np.ndarray | None] = [None] * len(weights)
    for w, g, m, v, peak in zip(weights, grads, means, squares, peaks or no_peaks, strict=True):
        slope = -g if maximize else g
        if decoupled:
            w *= 1 - lr * weight_decay
        elif weight_decay:
            slope = slope + w * weight_decay
        m *= beta1
        m += slope * (1 - beta1)
        v *= beta2
        v += slope * slope * (1 - beta2)
        largest = v if peak is None else np.maximum(v, peak, out=peak)
        w -= m / (np.sqrt(largest) + c2 * eps) * (lr * c2 / c1)
