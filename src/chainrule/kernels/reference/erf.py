"""The error function, by rational approximations good to float64's rounding.

Source: Cody 1969, Rational Chebyshev approximations for the error function, Mathematics of
Computation 23 (the coefficients of tables II and III, as published in SPECFUN's calerf);
for the inverse: Winitzki 2008, A handy approximation for the error function and its inverse,
equation 7.
"""

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["erf", "erfc", "erfinv"]

# erf(x) = x P(x²)/Q(x²) for |x| <= NEAR; erfc(x) = e^(-x²) P(x)/Q(x) up to FAR, and beyond it
# e^(-x²)/x (1/√π - z P(z)/Q(z)), z = 1/x². Highest powers first.
NEAR, FAR = 0.46875, 4.0
NEAR_P = (
    1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
    3.20937758913846947e3,
)  # fmt: skip
NEAR_Q = (
    1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
    2.84423683343917062e3,
)  # fmt: skip
MIDDLE_P = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
    2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
    1.23033935479799725e3,
)  # fmt: skip
MIDDLE_Q = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
    1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
    1.23033935480374942e3,
)  # fmt: skip
FAR_P = (
    1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
    1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4,
)  # fmt: skip
FAR_Q = (
    1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1,
    6.05183413124413191e-2, 2.33520497626869185e-3,
)  # fmt: skip


def erf(x: np.ndarray) -> np.ndarray:
    """2/√π ∫ e^(-t²) dt from 0 to x. Any shape; computed in float64, given in x's dtype."""
    z = np.asarray(x, np.float64)
    far = 1 - _erfc_of_positive(np.maximum(np.abs(z), NEAR))
    return np.where(np.abs(z) <= NEAR, _erf_near(z), np.copysign(far, z)).astype(x.dtype)


def erfc(x: np.ndarray) -> np.ndarray:
    """1 - erf(x), without cancellation for large x. As erf."""
    z = np.asarray(x, np.float64)
    far = _erfc_of_positive(np.maximum(np.abs(z), NEAR))
    beyond = np.where(z < 0, 2 - far, far)
    return np.where(np.abs(z) <= NEAR, 1 - _erf_near(z), beyond).astype(x.dtype)


def erfinv(x: np.ndarray) -> np.ndarray:
    """The y whose erf is x: ±∞ at ±1, NaN beyond. Any shape; float64 inside, as erf.

    A formula good to 2 thousandths, made exact by two of Halley's steps: each cubes the error.
    """
    z = np.abs(np.asarray(x, np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        y = _erfinv_roughly(z)
        for _ in range(2):
            # erf(y) - z, in the tail as (1 - z) - erfc(y): there both are small and exact
            too_far = np.where(z < 0.5, erf(y) - z, (1 - z) - erfc(y))
            step = too_far * np.exp(y * y) * (math.sqrt(math.pi) / 2)  # by erf's slope
            y = y - step / (1 + y * step)
        y = np.where(z < 1, y, np.where(z == 1, np.inf, np.nan))
    return np.copysign(y, x).astype(x.dtype)


def _erfinv_roughly(x: np.ndarray) -> np.ndarray:
    """Solves erf(y)² ≈ 1 - exp(-y² (4/π + a y²)/(1 + a y²)) for y², x in [0, 1)."""
    a = 0.147
    log = np.log1p(-x) + np.log1p(x)
    half = 2 / (math.pi * a) + log / 2
    root = np.sqrt(half * half - log / a)
    squared = np.where(half > 0, -log / a / (root + half), root - half)  # without cancellation
    return np.sqrt(squared)


def _erf_near(x: np.ndarray) -> np.ndarray:
    square = np.minimum(x * x, NEAR**2)
    return x * _ratio(NEAR_P, NEAR_Q, square)


def _erfc_of_positive(x: np.ndarray) -> np.ndarray:
    """For x >= NEAR. e^(-x²) from x = t + rest, t² exact: rounding x² would cost digits."""
    x = np.minimum(x, 27.5)  # beyond it float64 holds nothing but 0; a NaN passes
    z = 1 / (x * x)
    far = (1 / math.sqrt(math.pi) - z * _ratio(FAR_P, FAR_Q, z)) / x
    scaled = np.where(x <= FAR, _ratio(MIDDLE_P, MIDDLE_Q, np.minimum(x, FAR)), far)
    t = np.trunc(x * 16) / 16
    return np.exp(-t * t) * np.exp(-(x - t) * (x + t)) * scaled


def _ratio(above: Sequence[float], below: Sequence[float], z: np.ndarray) -> np.ndarray:
    return np.polyval(above, z) / np.polyval(below, z)
