"""Gradient checks: compare the graph's gradients with finite differences.

The central difference (F(x+h) - F(x-h)) / 2h errs by O(h²) plus rounding of order ε/h; in
float64 with h = 1e-6 that leaves about 1e-9. So everything is checked in float64: single
precision inputs, parameters and buffers are replaced by copies while the check runs.

A disagreement need not be an error. If the step from x-h to x+h crosses a kink of F (a ReLU's
zero, a maximum that changes hands), the central difference is a mixture of the slopes on its two
sides. Two patterns give a kink away, and both are looked for before an element is called wrong:

- *beside x*: once the step is small enough to miss the kink, the differences agree with the
  gradient, at two steps in a row;
- *at x*: the one-sided slopes (F(x±h) - F(x)) / ±h differ from each other, the same for steps
  from h/4 to 2h (or from there through 512, if another kink is near), and the gradient is one of
  them or lies between.

On a smooth piece neither holds for a wrong gradient: smaller steps repeat the disagreement, and
the difference of the one-sided slopes, h·F″, shrinks with h. Nor does noise pass for a kink: its
slopes do not stay the same from step to step.
Source: CS231n, Neural Networks Part 3: gradient checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from chainrule.autograd.engine import grad
from chainrule.autograd.graph import Variable
from chainrule.autograd.mode import enable_grad
from chainrule.autograd.subject import Subject, outputs_of
from chainrule.errors import ConfigError, GraphError

Array = np.ndarray[Any, Any]
Index = tuple[int, ...]


class GradcheckError(GraphError):
    """Analytic and numerical gradient disagree; the message says where and by how much."""

    report: GradcheckReport
    """All that was compared."""


def numerical_gradient(f: Callable[[], float], x: Array, eps: float = 1e-6) -> Array:
    """df/dx by central differences; ``x`` is changed in place for each and restored.

    f: takes nothing, returns a number computed from x's current values. 2·x.size calls.
    """
    gradient = np.empty(x.shape, np.float64)
    for index in np.ndindex(x.shape):
        before = x[index]
        x[index] = before + eps
        above = f()
        x[index] = before - eps
        below = f()
        x[index] = before
        gradient[index] = (above - below) / (2 * eps)
    return gradient


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
    params: Any = None,
    samples: int | None = None,
) -> bool:
    """Whether func's gradients agree with central differences: |a - n| ≤ atol + rtol·|n|.

    func: takes ``inputs``, returns a tensor or several; each is reduced to a number with a fixed
    pattern of weights, so that errors cannot cancel. Its random numbers are the same in every
    call, and buffers of modules are as they were before. Kinks crossed by the step are passed
    over; `gradcheck_report` shows them. The further arguments, ours after PyTorch's:

    nondet_tol: how far two runs of the same gradient may differ. check_grad_dtypes: gradients
    must have their input's dtype. fast_mode: along one direction in each tensor instead of
    element by element. check_undefined_grad: accepted; outputs are always checked one at a time,
    with no gradient for the others.
    params: what to check beside the inputs: a module, several, tensors, a dict of them, or ();
    left out: the parameters of the modules that func is or uses, of a large model some of each.
    samples: at most so many elements of each tensor, chosen with a fixed seed.

    Raises GradcheckError naming input or parameter, index, both values and their relative error
    (or returns False with raise_exception=False); GraphError if nothing requires grad;
    ConfigError for checks of what chainrule has not: forward mode, batches, sparse tensors.
    """
    _refuse(
        check_batched_grad=check_batched_grad, masked=masked, check_forward_ad=check_forward_ad,
        check_batched_forward_grad=check_batched_forward_grad,
        **{"check_backward_ad=False": not check_backward_ad},
    )  # fmt: skip
    report = gradcheck_report(
        func, inputs, eps=eps, atol=atol, rtol=rtol, nondet_tol=nondet_tol,
        check_grad_dtypes=check_grad_dtypes, fast_mode=fast_mode, params=params, samples=samples,
    )  # fmt: skip
    if not report and raise_exception:
        raise _error("gradcheck", report)
    return bool(report)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
    params: Any = None,
    samples: int | None = None,
) -> bool:
    """Whether the second derivatives agree with differences of the first.

    The first derivatives depend on ``inputs`` (and parameters) and on the upstream gradients;
    all are checked. grad_outputs: the latter; left out: a fixed pattern, with strides if
    gen_non_contig_grad_outputs. Everything else as for `gradcheck`.
    """
    _refuse(
        check_batched_grad=check_batched_grad, masked=masked,
        check_fwd_over_rev=check_fwd_over_rev,
        **{"check_rev_over_rev=False": not check_rev_over_rev},
    )  # fmt: skip
    subject = Subject(func, inputs, params)
    if grad_outputs is None:
        with subject.in_float64():
            outputs = [y for y in subject.outputs() if y.requires_grad]
        seeds = [_seed(y.array.shape, gen_non_contig_grad_outputs) for y in outputs]
    else:
        given = [grad_outputs] if isinstance(grad_outputs, Variable) else list(grad_outputs)
        seeds = [Variable.of(g.array.astype(np.float64)) for g in given]
    for seed in seeds:
        seed.requires_grad = True
    tensors = [t for _, t in subject.named]

    def first_derivatives(*args: Any) -> tuple[Any, ...]:
        count = len(subject.inputs)
        with enable_grad():  # the numerical side needs it too
            outputs = [y for y in outputs_of(func(*args[:count])) if y.requires_grad]
            return grad(
                outputs, [*(args[i] for i in subject.wanted), *tensors], args[count:],
                create_graph=True, materialize_grads=True,
            )  # fmt: skip

    if not seeds:
        return True
    derived = Subject(first_derivatives, [*subject.inputs, *seeds], (), subject.modules)
    derived.named, derived.unasked = subject.named, subject.unasked
    report = _compare(derived, eps, atol, rtol, nondet_tol, check_grad_dtypes, fast_mode, samples)
    if not report and raise_exception:
        raise _error("gradgradcheck", report)
    return bool(report)


def _error(name: str, report: GradcheckReport) -> GradcheckError:
    error = GradcheckError(f"{name}: {report.message}")
    error.report = report
    return error


def _refuse(**checks: Any) -> None:
    why = {
        "check_batched_grad": "vmap computes one sample after the other",
        "check_batched_forward_grad": "vmap computes one sample after the other",
        "check_forward_ad": "there are no forward-mode formulas; jvp uses the VJPs",
        "check_fwd_over_rev": "there are no forward-mode formulas; rev over rev is checked",
        "masked": "tensors are dense",
        "check_backward_ad=False": "nothing else would be checked",
        "check_rev_over_rev=False": "nothing else would be checked",
    }
    for name, wanted in checks.items():
        if wanted:
            raise ConfigError(f"gradcheck: {name} is not supported: {why[name]}")


# -- the report ----------------------------------------------------------------------------------


@dataclass
class Checked:
    """One tensor's part of a report."""

    name: str
    """``input 0``, or ``parameter 'fc.weight'``."""
    shape: Index
    count: int = 0
    """How many elements were compared."""
    max_relative_error: float = 0.0
    """max |a - n| / max(|a|, |n|, atol) over them, kinks left out: below atol all is rounding."""
    disagreeing: int = 0
    kinks: list[Index | None] = field(default_factory=list)
    """Where a kink was crossed, and passed over."""
    curved: list[Index | None] = field(default_factory=list)
    """Where only the step was too long: smaller ones agree more and more."""


def _place(index: Index | None) -> str:
    """None: in fast_mode there is no index."""
    return "along one direction" if index is None else str(index)


@dataclass(frozen=True)
class Disagreement:
    """Where two gradients lie furthest apart."""

    output: int
    tensor: str
    index: Index | None
    """None: along a direction (fast_mode)."""
    analytic: float
    numerical: float

    @property
    def relative_error(self) -> float:
        """|a - n| / max(|a|, |n|)."""
        largest = max(abs(self.analytic), abs(self.numerical), 1e-300)
        return abs(self.analytic - self.numerical) / largest

    def __str__(self) -> str:
        where = ("" if self.index is None else "index ") + _place(self.index)
        return (
            f"output {self.output}, {self.tensor}, {where}: analytic {self.analytic:.10g}, "
            f"numerical {self.numerical:.10g}, relative error {self.relative_error:.2g}"
        )


@dataclass
class GradcheckReport:
    """What a check found; true if all agrees, and printed as a table."""

    eps: float
    rows: list[Checked] = field(default_factory=list)
    message: str | None = None
    """What is wrong, in words; None if nothing is."""
    worst: Disagreement | None = None

    def __bool__(self) -> bool:
        return self.message is None

    def __str__(self) -> str:
        head = ("tensor", "shape", "checked", "max rel. error", "disagree", "kinks")
        lines = [head]
        for r in self.rows:
            error = f"{r.max_relative_error:.1e}"
            counts = (str(r.count), error, str(r.disagreeing), str(len(r.kinks)))
            lines.append((r.name, str(r.shape), *counts))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = []
        for line in lines:
            sized = list(zip(line, widths, strict=True))
            cells = [c.ljust(w) for c, w in sized[:2]] + [c.rjust(w) for c, w in sized[2:]]
            text.append("  ".join(cells).rstrip())
        for r in self.rows:
            for what, found in (("kink", r.kinks), ("step too long", r.curved)):
                if found:
                    rest = f" and {len(found) - 5} more" if len(found) > 5 else ""
                    text.append(f"{what} at {r.name}, {', '.join(map(_place, found[:5]))}{rest}")
        verdict = "all gradients agree" if self else self.message
        return "\n".join([f"{verdict} (central differences, h = {self.eps:g})", *text])


def gradcheck_report(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    nondet_tol: float = 0.0,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
    params: Any = None,
    samples: int | None = None,
) -> GradcheckReport:
    """As `gradcheck`, but the answer is a `GradcheckReport`: print it."""
    subject = Subject(func, inputs, params)
    return _compare(subject, eps, atol, rtol, nondet_tol, check_grad_dtypes, fast_mode, samples)


def _compare(
    subject: Subject, eps: float, atol: float, rtol: float, nondet_tol: float,
    check_grad_dtypes: bool, fast_mode: bool, samples: int | None,
) -> GradcheckReport:  # fmt: skip
    report = GradcheckReport(eps)
    with subject.in_float64():
        targets = subject.targets()
        if not targets:
            raise GraphError("gradcheck: no input requires grad; nothing to check")
        comparison = _Comparison(subject, report, eps, atol, rtol)
        report.message = comparison.unfit(targets, nondet_tol, check_grad_dtypes)
        if report.message is None:
            for number, (name, target) in enumerate(targets):
                if fast_mode:
                    comparison.along_a_direction(number, name, target)
                else:
                    most = subject.fewer(samples) if number >= len(subject.wanted) else samples
                    comparison.by_elements(number, name, target, most)
            report.message = comparison.message()
    return report


# -- comparing -----------------------------------------------------------------------------------


def _pattern(shape: Sequence[int]) -> Array:
    """Fixed weights between 0.5 and 1.5 without symmetry."""
    n = int(np.prod(shape, dtype=np.int64))
    return (0.5 + np.modf(np.arange(1, n + 1) * 0.6180339887498949)[0]).reshape(shape)


def _seed(shape: Sequence[int], strided: bool) -> Any:
    pattern = _pattern(shape)
    if not strided or pattern.ndim == 0:
        return Variable.of(pattern)
    wide = np.zeros((*pattern.shape[:-1], 2 * pattern.shape[-1]))
    wide[..., ::2] = pattern
    return Variable.of(wide[..., ::2])


class _Comparison:
    """Analytic and numerical gradients of one subject, side by side."""

    def __init__(
        self, subject: Subject, report: GradcheckReport, eps: float, atol: float, rtol: float
    ) -> None:
        self.subject, self.report = subject, report
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.worst: tuple[float, Checked, _Line] | None = None
        self.gradients: list[list[Array]] = []  # by output, by target
        self.weights: list[Array] = []

    def unfit(
        self, targets: list[tuple[str, Any]], nondet_tol: float, check_dtypes: bool
    ) -> str | None:
        """Compute the analytic gradients; what is wrong with them at first sight, in words."""
        tensors = [t for _, t in targets]
        runs = [self._analytic(tensors) for _ in range(2)]
        self.gradients = runs[0]
        for k, (first, second) in enumerate(zip(*runs, strict=True)):
            for (name, t), a, b in zip(targets, first, second, strict=True):
                where = f"output {k}, {name}"
                if a.shape != t.array.shape:
                    return f"{where}: the gradient has shape {a.shape}, the input {t.array.shape}"
                if check_dtypes and a.dtype != t.array.dtype:
                    return f"{where}: the gradient is {a.dtype}, the input {t.array.dtype}"
                off = float(np.max(np.abs(a - b), initial=0))
                if off > nondet_tol:
                    return (
                        f"{where}: two runs of the same gradient differ by {off:.3g}; it is not "
                        "deterministic (nondet_tol allows a difference)"
                    )
        return None

    def _analytic(self, tensors: list[Any]) -> list[list[Array]]:
        outputs = self.subject.outputs()
        self.weights = [_pattern(y.array.shape) for y in outputs]
        gradients = []
        for y, weights in zip(outputs, self.weights, strict=True):
            if y.requires_grad:
                seed = Variable.of(weights.astype(y.array.dtype))
                grads = grad(y, tensors, seed, retain_graph=True, materialize_grads=True)
                gradients.append([g.array for g in grads])
            else:
                gradients.append([np.zeros_like(t.array) for t in tensors])
        return gradients

    def _numbers(self, above: list[Array], below: list[Array]) -> list[float]:
        """The difference of the function's values, each output as one number. Differences first:
        what does not depend on the element drops out exactly."""
        triples = zip(above, below, self.weights, strict=True)
        return [float(np.sum((a - b) * w)) for a, b, w in triples]

    def by_elements(self, number: int, name: str, t: Any, samples: int | None) -> None:
        """Compare a tensor's gradient element by element."""
        row = Checked(name, tuple(t.array.shape))
        self.report.rows.append(row)
        hopeless = 0  # disagreements in a row that no kink excused
        for index in _chosen(t.array.shape, samples):
            wrong = self._along(_Line(self, t.array, index), row, number, hopeless < 20)
            hopeless = hopeless + 1 if wrong else 0

    def along_a_direction(self, number: int, name: str, t: Any) -> None:
        """Compare along one fixed direction of a tensor."""
        row = Checked(name, tuple(t.array.shape))
        self.report.rows.append(row)
        direction = np.random.default_rng(0).standard_normal(t.array.shape)
        direction /= max(float(np.linalg.norm(direction)), 1e-300)
        self._along(_Line(self, t.array, None, direction), row, number, True)

    def _along(self, line: _Line, row: Checked, number: int, may_excuse: bool) -> bool:
        """Compare along one line; whether they disagree and no kink excuses it."""
        row.count += 1
        excuses, wrong = [], False
        for k, n in enumerate(line.central(self.eps)):
            a = line.slope_of(self.gradients[k][number])
            excuse = None
            if may_excuse and not self._agree(a, n):
                excuse = line.excuse(k, a, n)
                excuses.append(excuse)
            if excuse is None:
                wrong |= self._differ(row, Disagreement(k, row.name, line.index, a, n), line)
        row.disagreeing += wrong
        row.kinks += [line.index] * (not wrong and "kink" in excuses)
        row.curved += [line.index] * (not wrong and "curvature" in excuses)
        return wrong

    def _agree(self, a: float, n: float) -> bool:
        return abs(a - n) <= self.atol + self.rtol * abs(n)

    def _differ(self, row: Checked, found: Disagreement, line: _Line) -> bool:
        """Note how far two values lie apart; whether too far."""
        a, n = found.analytic, found.numerical
        error = _or_inf(abs(a - n))
        relative = _or_inf(abs(a - n) / max(abs(a), abs(n), self.atol, 1e-300))
        row.max_relative_error = max(row.max_relative_error, relative)
        if self._agree(a, n):
            return False
        if self.worst is None or error > self.worst[0]:
            self.worst = error, row, line
            self.report.worst = found
        return True

    def message(self) -> str | None:
        """The worst disagreement, in words; None if there is none."""
        if self.worst is None:
            return None
        _, row, line = self.worst
        others = sum(r.disagreeing for r in self.report.rows if r is not row)
        text = f"{self.report.worst}; {row.disagreeing} of {row.count} elements disagree"
        text += f" (and {others} of other tensors)" if others else ""
        return text + line.doubts()


def _or_inf(x: float) -> float:
    return math.inf if math.isnan(x) else x


def _chosen(shape: Index, samples: int | None) -> Iterable[Index]:
    """All indices, or so many of them, the same on every run."""
    size = math.prod(shape)
    if samples is None or samples >= size:
        return np.ndindex(*shape)
    places = np.random.default_rng(0).choice(size, samples, replace=False)
    return [tuple(int(i) for i in np.unravel_index(p, shape)) for p in sorted(places)]


class _Line:
    """The function along one element of one tensor, or (index None) along a direction."""

    def __init__(
        self, comparison: _Comparison, array: Array, index: Index | None, direction: Any = 1.0
    ) -> None:
        self.comparison, self.array, self.index = comparison, array, index
        self.moved = ... if index is None else index
        self.direction = direction
        self.here: list[Array] | None = None

    def slope_of(self, gradient: Array) -> float:
        """The slope along this line that a gradient says."""
        return float(np.sum(gradient[self.moved] * self.direction))

    def _at(self, step: float) -> list[Array]:
        before = np.copy(self.array[self.moved])
        self.array[self.moved] = before + step * self.direction
        try:
            return self.comparison.subject.values()
        finally:
            self.array[self.moved] = before

    def central(self, h: float) -> list[float]:
        """(F(x+h) - F(x-h)) / 2h for each output."""
        numbers = self.comparison._numbers(self._at(h), self._at(-h))
        return [n / (2 * h) for n in numbers]

    def _slope(self, k: int, h: float) -> float:
        """(F(x+h) - F(x)) / h, h of either sign."""
        if self.here is None:
            self.here = self._at(0.0)
        return self.comparison._numbers(self._at(h), self.here)[k] / h

    def doubts(self) -> str:
        """Whether the differences themselves are to be trusted, in words."""
        one, other = (self.central(self.comparison.eps * scale) for scale in (1, 2))
        pairs = list(zip(one, other, strict=True))
        if not all(math.isfinite(a) for a in one):
            return (
                "\n  a step of eps leads out of where func is finite: take a smaller eps, or other "
                "inputs"
            )
        if all(self.comparison._agree(a, b) for a, b in pairs if a or b):
            return ""
        a, b = max(pairs, key=lambda pair: _or_inf(abs(pair[0] - pair[1])))
        return (
            f"\n  with another step the difference is another ({b:.6g}, not {a:.6g}): func may "
            "compute in single precision inside, or jump here"
        )

    def excuse(self, k: int, a: float, n: float) -> str | None:
        """Why gradient ``a`` and difference ``n`` may disagree: "kink", "curvature" or None."""
        if not (math.isfinite(a) and math.isfinite(n)):
            return None
        if self._is_kink_here(k, a):
            return "kink"
        return self._beside(k, a, n)

    def _beside(self, k: int, a: float, n: float) -> str | None:
        """Smaller steps, until two in a row agree: those miss the kink."""
        h, agreed, errors = self.comparison.eps, 0, [abs(n - a)]
        for _ in range(5):
            h /= 4
            smaller = self.central(h)[k]
            errors.append(abs(smaller - a))
            agreed = agreed + 1 if self.comparison._agree(a, smaller) else 0
            if agreed == 2:
                # O(h²) of a smooth function: a sixteenth of the error for a quarter of the step
                smooth = all(e / 32 < f < e / 8 for e, f in pairwise(errors[:3]))
                return "curvature" if smooth else "kink"
        return None

    def _is_kink_here(self, k: int, a: float) -> bool:
        """Different slopes on the two sides, whatever the step, and ``a`` not outside them."""
        return any(self._has_two_slopes(k, a, self.comparison.eps / n) for n in (1, 512))

    def _has_two_slopes(self, k: int, a: float, h: float) -> bool:
        steps = [h * scale for scale in (0.25, 0.5, 1, 2)]
        right = [self._slope(k, h) for h in steps]
        left = [self._slope(k, -h) for h in steps]
        gap = abs(float(np.mean(right)) - float(np.mean(left)))
        spread = max(max(side) - min(side) for side in (right, left))
        if gap <= 10 * spread or gap <= self.comparison.atol + self.comparison.rtol * abs(a):
            return False
        low, high = sorted((float(np.mean(left)), float(np.mean(right))))
        margin = self.comparison.atol + self.comparison.rtol * max(abs(low), abs(high))
        return low - margin <= a <= high + margin
