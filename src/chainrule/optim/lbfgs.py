"""L-BFGS: Newton's steps by the curvature of the last few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.autograd import enable_grad
from chainrule.optim.line_search import Line, Point, strong_wolfe
from chainrule.optim.optimizer import Array, Group, Optimizer, Params, Rate, change, plain, require
from chainrule.tensor import Tensor

LINE_SEARCH = "strong_wolfe"


class LBFGS(Optimizer):
    """Limited-memory BFGS, for functions without noise (full batches).

    Each step makes up to ``max_iter`` iterations w ← w + td, with d = -Hg: H is the inverse
    Hessian that the last ``history_size`` pairs of steps s and changes of the gradient y
    suggest, never written out (the two loops of algorithm 7.4). t = lr, and at first
    lr·min(1, 1/Σ|g|); with ``line_search_fn="strong_wolfe"`` t begins there and satisfies the
    strong Wolfe conditions.

    A step ends when the largest |g| is at most tolerance_grad; when no weight or the loss
    changes by more than tolerance_change; or after max_eval evaluations (1.25 max_iter, unless
    given). ``step(closure)`` needs the closure: it clears the gradients, computes loss and
    gradients, and returns the loss; `step` returns the first one. There is one group.
    Raises ConfigError (negative lr, several groups, another line search).
    Source: Nocedal & Wright 2006, Numerical Optimization, chapters 3 and 7; Liu & Nocedal 1989.
    """

    def __init__(
        self,
        params: Params,
        lr: Rate = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        require(group["lr"] >= 0, self, "lr must not be negative", group["lr"])
        search = group["line_search_fn"]
        require(
            search in (None, LINE_SEARCH), self, f"line_search_fn must be {LINE_SEARCH!r} or None",
            repr(search),
        )  # fmt: skip
        least = group["history_size"]
        require(least >= 1, self, "history_size must be at least 1", least)
        require(not self.param_groups, self, "there can be one group of parameters", "another")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make up to max_iter iterations. Returns the loss at the beginning."""
        require(closure is not None, self, "step needs a closure that computes the loss", None)
        assert closure is not None
        return _Run(self, closure).iterate()


class _Run:
    """One step: the iterations from a state, which is kept with the first parameter."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any]) -> None:
        (group,) = optimizer.param_groups
        self.params: list[Tensor] = group["params"]
        self.settings = {k: plain(v) for k, v in group.items() if k != "params"}
        self.closure = closure
        self.state = optimizer.state[self.params[0]]
        self.state.setdefault("func_evals", 0)
        self.state.setdefault("n_iter", 0)
        self.evaluations = 0

    def iterate(self) -> Any:
        first_loss = self.evaluate()
        loss, gradient = float(first_loss), self.gradient()
        if not gradient.size or self.is_least(gradient):
            return first_loss
        state, settings = self.state, self.settings
        direction, t = _array(state.get("d")), plain(state.get("t"))
        before, loss_before = _array(state.get("prev_flat_grad")), state.get("prev_loss")
        history = History(state, settings["history_size"])
        for iteration in range(1, settings["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                direction = -gradient
                t = min(1.0, 1.0 / np.abs(gradient).sum()) * settings["lr"]
            else:
                history.learn(gradient - before, direction * t)
                direction = history.newton_direction(gradient)
                t = settings["lr"]
            before, loss_before = gradient, loss
            slope = gradient.dot(direction)
            if slope > -settings["tolerance_change"]:
                break
            if settings["line_search_fn"]:
                point = self.search(Point(0, loss, gradient, slope), direction, t)
                t, loss, gradient = point.t, point.f, point.gradient
                self.move(t, direction)
            else:
                self.move(t, direction)
                if iteration < settings["max_iter"]:  # nobody would look at it any more
                    loss, gradient = float(self.evaluate()), self.gradient()
            if (
                self.evaluations >= settings["max_eval"]
                or self.is_least(gradient)
                or np.abs(direction * t).max() <= settings["tolerance_change"]
                or abs(loss - loss_before) < settings["tolerance_change"]
            ):
                break
        state.update(d=_tensor(direction), t=_tensor(t), **history.entries())
        state.update(prev_flat_grad=_tensor(before), prev_loss=loss_before)
        return first_loss

    def search(self, start: Point, direction: Array, t: Any) -> Point:
        """A point on the line that satisfies the strong Wolfe conditions."""
        weights = [p.array.copy() for p in self.params]

        def at(t: Any) -> Point:
            self.move(t, direction)
            loss, gradient = float(self.evaluate()), self.gradient()
            change(self.params)
            for p, old in zip(self.params, weights, strict=True):
                p.array[...] = old
            return Point(t, loss, gradient, gradient.dot(direction))

        line = Line(at, start, np.abs(direction).max(), self.settings["tolerance_change"])
        return strong_wolfe(line, t, self.settings["max_eval"] - self.evaluations)

    def evaluate(self) -> Any:
        """The loss, with the gradients computed."""
        self.evaluations += 1
        self.state["func_evals"] += 1
        with enable_grad():
            return self.closure()

    def gradient(self) -> Array:
        """All parameters' gradients in one vector; zeros where there is none."""
        grads = (np.zeros_like(p.array) if p.grad is None else p.grad.array for p in self.params)
        return np.concatenate([g.ravel() for g in grads])

    def move(self, t: Any, direction: Array) -> None:
        change(self.params)
        for p, step in self.pieces(direction * t):
            p.array[...] += step

    def pieces(self, vector: Array) -> Iterator[tuple[Tensor, Array]]:
        """Each parameter with its part of a vector."""
        start = 0
        for p in self.params:
            yield p, vector[start : start + p.array.size].reshape(p.array.shape)
            start += p.array.size

    def is_least(self, gradient: Array) -> bool:
        return bool(np.abs(gradient).max() <= self.settings["tolerance_grad"])


class History:
    """Pairs of a step s and the change y of the gradient along it; oldest first."""

    def __init__(self, state: dict[str, Any], size: int) -> None:
        self.size = size
        self.changes = [_array(y) for y in state.get("old_dirs") or []]  # PyTorch's names
        self.steps = [_array(s) for s in state.get("old_stps") or []]
        self.inverses = [plain(r) for r in state.get("ro") or []]  # 1/(yᵀs)
        self.scale = plain(state.get("H_diag", 1))  # of the identity that H begins as

    def learn(self, change: Array, step: Array) -> None:
        """Remember a pair, if the function is convex along it."""
        product = change.dot(step)
        if not product > 1e-10:
            return
        pairs = (self.changes, self.steps, self.inverses)
        for kept, new in zip(pairs, (change, step, 1.0 / product), strict=True):
            if len(kept) == self.size:
                del kept[0]
            kept.append(new)
        self.scale = product / change.dot(change)

    def newton_direction(self, gradient: Array) -> Array:
        """-Hg (Nocedal & Wright, algorithm 7.4)."""
        q, term = -gradient, np.empty_like(gradient)
        shares = [0.0] * len(self.steps)
        for i in reversed(range(len(self.steps))):
            shares[i] = self.steps[i].dot(q) * self.inverses[i]
            q -= np.multiply(self.changes[i], shares[i], out=term)
        q *= self.scale
        for i in range(len(self.steps)):
            share = shares[i] - self.changes[i].dot(q) * self.inverses[i]
            q += np.multiply(self.steps[i], share, out=term)
        return q

    def entries(self) -> dict[str, Any]:
        """The optimizer's state, by PyTorch's names."""
        return {
            "old_dirs": [_tensor(y) for y in self.changes],
            "old_stps": [_tensor(s) for s in self.steps],
            "ro": [_tensor(r) for r in self.inverses],
            "H_diag": _tensor(self.scale),
        }


def _array(value: Any) -> Any:
    return value.array if isinstance(value, Tensor) else value


def _tensor(value: Any) -> Any:
    """Arrays as tensors; NumPy's numbers as Python's."""
    if isinstance(value, np.ndarray):
        return Tensor(value)
    return value.item() if isinstance(value, np.generic) else value
