"""Hooks of modules, against PyTorch: the same story told by both."""

from __future__ import annotations

import copy
import gc
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.modules.module
from chainrule import nn
from chainrule.errors import CheckpointError, GraphError

torch = pytest.importorskip("torch", reason="hooks are compared with PyTorch's")
pytestmark = pytest.mark.parity


def both(story: Any) -> tuple[Any, Any]:
    return story(cr), story(torch)


def modules_of(lib: Any) -> Any:
    """Where hooks of all modules are registered."""
    return chainrule.nn.modules.module if lib is cr else torch.nn.modules.module


def array(t: Any) -> Any:
    return None if t is None else np.round(t.detach().numpy(), 6).tolist()


def arrays(ts: Any) -> list[Any]:
    return [array(t) if hasattr(t, "detach") or t is None else t for t in ts]


def leaf(lib: Any, *values: float) -> Any:
    return lib.tensor(values, dtype=lib.float64, requires_grad=True)


def layers(lib: Any) -> Any:
    class Scale(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = lib.nn.Parameter(lib.tensor([2.0, 3.0], dtype=lib.float64))

        def forward(self, x: Any, factor: float = 1.0, *, shift: Any = 0.0) -> Any:
            return x * self.w * factor + shift

    class Pair(lib.nn.Module):
        def forward(self, x: Any, y: Any, name: str = "") -> Any:
            return x * y, x + y, name

    return Scale(), Pair()


# -- forward ---------------------------------------------------------------------------------------


def test_order_and_replacements() -> None:
    def story(lib: Any) -> list[Any]:
        told: list[Any] = []
        scale, _ = layers(lib)
        scale.register_forward_pre_hook(lambda m, a: told.append(("pre 1", arrays(a))))
        scale.register_forward_pre_hook(lambda m, a: (a[0] + 1, *a[1:]))
        scale.register_forward_pre_hook(lambda m, a: told.append(("pre 0", len(a))), prepend=True)
        scale.register_forward_pre_hook(lambda m, a, k: (a, {**k, "shift": 10.0}), with_kwargs=True)
        scale.register_forward_hook(lambda m, a, y: told.append(("post 1", arrays(a), array(y))))
        scale.register_forward_hook(lambda m, a, y: y * 100)
        scale.register_forward_hook(
            lambda m, a, k, y: told.append(("post 0", k, array(y))), with_kwargs=True, prepend=True
        )
        told.append(array(scale(leaf(lib, 1.0, 2.0), 0.5)))
        return told

    ours, theirs = both(story)
    assert ours == theirs and len(ours) == 5


def test_hooks_of_all_modules_come_first() -> None:
    def story(lib: Any) -> list[Any]:
        told: list[Any] = []
        scale, _ = layers(lib)
        model = lib.nn.Sequential(scale, lib.nn.ReLU())
        where = modules_of(lib)

        def tell(what: str) -> Any:
            return lambda m, *rest: told.append((what, type(m).__name__, len(rest)))

        scale.register_forward_hook(tell("own"))
        scale.register_forward_pre_hook(tell("own pre"))
        scale.register_full_backward_hook(tell("own back"))
        handles = [
            where.register_module_forward_pre_hook(tell("pre")),
            where.register_module_forward_hook(tell("post")),
            where.register_module_forward_hook(tell("kwargs"), with_kwargs=True),
            where.register_module_full_backward_pre_hook(tell("back pre")),
            where.register_module_full_backward_hook(tell("back")),
        ]
        try:
            model(leaf(lib, 1.0, -2.0)).sum().backward()
        finally:
            for handle in handles:
                handle.remove()
        told.append("removed")
        model(leaf(lib, 1.0, -2.0)).sum().backward()
        return told

    ours, theirs = both(story)
    assert ours == theirs and len(ours) > 15


def test_always_called() -> None:
    def story(lib: Any) -> list[Any]:
        told: list[Any] = []

        class Broken(lib.nn.Module):
            def forward(self, x: Any) -> Any:
                raise ZeroDivisionError("broken")

        broken = Broken()
        broken.register_forward_hook(lambda m, a, y: told.append("never"))
        broken.register_forward_hook(lambda m, a, y: told.append(("always", y)), always_call=True)
        broken.register_forward_hook(
            lambda m, a, k, y: told.append(("kwargs", k)), always_call=True, with_kwargs=True
        )

        def fail(m: Any, a: Any, y: Any) -> None:
            raise ValueError("silenced")

        broken.register_forward_hook(fail, always_call=True)
        with pytest.raises(ZeroDivisionError), pytest.warns(UserWarning, match="silenced"):
            broken(leaf(lib, 1.0))
        return told

    ours, theirs = both(story)
    assert ours == theirs == [("always", None), ("kwargs", {})]


def test_a_hook_that_raises_leaves_the_other_always_called_ones() -> None:
    def story(lib: Any) -> list[Any]:
        told: list[Any] = []
        scale, _ = layers(lib)

        def fail(m: Any, a: Any, y: Any) -> None:
            raise ValueError("a hook")

        scale.register_forward_hook(lambda m, a, y: told.append("first"), always_call=True)
        scale.register_forward_hook(fail)
        scale.register_forward_hook(
            lambda m, a, y: told.append(("last", array(y))), always_call=True
        )
        with pytest.raises(ValueError, match="a hook"):
            scale(leaf(lib, 1.0, 2.0))
        return told

    ours, theirs = both(story)
    assert ours == theirs == ["first", ("last", [2, 6])]


def test_pre_hook_with_kwargs_must_return_a_pair() -> None:
    scale, _ = layers(cr)
    scale.register_forward_pre_hook(lambda m, a, k: a, with_kwargs=True)
    with pytest.raises(GraphError, match=r"must return None or \(args, kwargs\)"):
        scale(leaf(cr, 1.0, 2.0))


def test_removed_hooks_are_gone() -> None:
    scale, _ = layers(cr)
    x = leaf(cr, 1.0, 2.0)
    handles = [
        scale.register_forward_hook(lambda m, a, k, y: y * 0, with_kwargs=True, always_call=True),
        scale.register_full_backward_hook(lambda m, gi, go: (gi[0] * 0,)),
    ]
    for handle in handles:
        handle.remove()
    y = scale(x)
    assert array(y) == [2, 6]
    y.sum().backward()
    assert x.grad.tolist() == [2, 3]
    assert len(scale._forward_hooks) == len(scale._backward_hooks) == 0


def test_a_copied_module_has_its_hooks() -> None:
    scale, _ = layers(cr)
    scale.register_forward_hook(lambda m, a, y: y * 10)
    assert array(copy.deepcopy(scale)(leaf(cr, 1.0, 2.0))) == [20, 60]


# -- backward --------------------------------------------------------------------------------------


def test_backward_hooks_see_gradients() -> None:
    def story(lib: Any) -> list[Any]:
        told: list[Any] = []
        _, pair = layers(lib)

        def tell(what: str) -> Any:
            return lambda m, *grads: told.append((what, *[arrays(g) for g in grads]))

        pair.register_full_backward_hook(tell("back 1"))
        pair.register_full_backward_hook(tell("back 0"), prepend=True)
        pair.register_full_backward_pre_hook(tell("pre 1"))
        pair.register_full_backward_pre_hook(tell("pre 0"), prepend=True)
        x, y = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0).detach()
        a, b, name = pair(x, y, "name")
        assert name == "name"
        (a * 2).sum().backward(retain_graph=True)  # b is not used
        (a * b).sum().backward()
        told.append(array(x.grad))
        return told

    ours, theirs = both(story)
    assert ours == theirs and len(ours) == 9


def test_backward_hooks_replace_gradients() -> None:
    def story(lib: Any) -> list[Any]:
        scale, pair = layers(lib)
        x = leaf(lib, 1.0, 2.0)
        pair.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10, gi[1] * 5))
        pair.register_full_backward_pre_hook(lambda m, go: (go[0] + 1, go[1] * 2, None))
        scale.register_full_backward_hook(lambda m, gi, go: (gi[0] + go[0],))
        scale.register_full_backward_pre_hook(lambda m, go: (go[0] * 3,))
        a, b, _ = pair(scale(x), x * x)
        (a * b).sum().backward()
        return [array(x.grad), array(scale.w.grad)]

    ours, theirs = both(story)
    assert ours == theirs


def test_backward_hooks_without_input_gradients() -> None:
    def story(lib: Any) -> list[Any]:
        told: list[Any] = []
        scale, _ = layers(lib)
        scale.register_full_backward_hook(lambda m, gi, go: told.append((arrays(gi), arrays(go))))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scale(leaf(lib, 1.0, 2.0).detach()).sum().backward()
            with lib.no_grad():
                scale(leaf(lib, 1.0, 2.0))
        told.append(array(scale.w.grad))
        return told

    ours, theirs = both(story)
    assert ours == theirs == [([None], [[1, 1]]), [1, 2]]


@pytest.mark.parametrize("name", ["conv", "linear"])
def test_backward_hooks_in_a_network(name: str) -> None:
    def story(lib: Any) -> list[Any]:
        told: list[Any] = []
        nn = lib.nn
        if name == "conv":
            model = nn.Sequential(
                nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)
            )
            shape = (2, 1, 4, 4)
        else:
            model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
            shape = (2, 4)
        rng = np.random.default_rng(0)
        model.double()
        for p in model.parameters():
            p.data.copy_(lib.from_numpy(rng.standard_normal(tuple(p.shape))))
        for m in model:
            m.register_full_backward_hook(
                lambda m, gi, go: told.append((type(m).__name__, arrays(gi), arrays(go)))
            )
        x = lib.from_numpy(rng.standard_normal(shape)).requires_grad_()
        (model(x) ** 2).sum().backward()
        told += [array(x.grad), *(array(p.grad) for p in model.parameters())]
        return told

    ours, theirs = both(story)
    assert [t[0] for t in ours[:4]] == [t[0] for t in theirs[:4]]
    for a, b in zip(ours, theirs, strict=True):
        for c, d in zip(a[1:], b[1:], strict=True) if isinstance(a, tuple) else [(a, b)]:
            np.testing.assert_allclose(np.array(c[0]), np.array(d[0]), rtol=1e-5, atol=1e-5)


def test_backward_hooks_twice() -> None:
    """Where the gradient is differentiated again, its own way back shows no output gradient."""

    def story(lib: Any) -> list[Any]:
        told: list[Any] = []
        scale, _ = layers(lib)
        scale.register_full_backward_hook(lambda m, gi, go: told.append((arrays(gi), arrays(go))))
        x = leaf(lib, 1.0, 2.0)
        (g,) = lib.autograd.grad((scale(x) ** 3).sum(), x, create_graph=True)
        (h,) = lib.autograd.grad(g.sum(), x)
        return [*told, array(g), array(h)]

    ours, theirs = both(story)
    assert ours[-2:] == theirs[-2:] and ours[0] == theirs[0]


def test_backward_hooks_keep_nothing_alive() -> None:
    gc.collect()
    gc.disable()
    try:
        _, pair = layers(cr)
        pair.register_full_backward_hook(lambda m, gi, go: None)
        a, b, _ = pair(leaf(cr, 1.0), leaf(cr, 2.0))
        nodes = [weakref.ref(t.grad_fn) for t in (a, b)]
        arrays = [weakref.ref(t.array) for t in (a, b)]
        total = (a + b).sum()  # which needs neither array
        del a, b
        assert all(r() is None for r in arrays) and all(r() is not None for r in nodes)
        total.backward()
        del total
        assert all(r() is None for r in nodes)
    finally:
        gc.enable()


def test_wrong_numbers_of_gradients() -> None:
    x = leaf(cr, 1.0, 2.0)
    scale, _ = layers(cr)
    with scale.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0])):
        y = scale(x).sum()
    with pytest.raises(GraphError, match="backward hook: it returned 2 grad_input, expected 1"):
        y.backward()
    with scale.register_full_backward_pre_hook(lambda m, go: ()):
        y = scale(x).sum()
    with pytest.raises(GraphError, match="backward pre-hook: it returned 0 grad_output"):
        y.backward()
    with scale.register_full_backward_hook(lambda m, gi, go: (go[0],)):
        y = scale(x.detach()).sum()
    with pytest.raises(GraphError, match="no input of the module requires grad"):
        y.backward()


def test_a_result_that_is_no_tensor() -> None:
    class AsDict(nn.Module):
        def forward(self, x: Any) -> Any:
            return {"y": x}

    model = AsDict()
    model.register_full_backward_hook(lambda m, gi, go: None)
    with pytest.warns(UserWarning, match="a tensor or a tuple of tensors, got dict"):
        model(leaf(cr, 1.0))


# -- state_dict ------------------------------------------------------------------------------------


def test_state_dict_hooks() -> None:
    def story(lib: Any) -> list[Any]:
        told: list[Any] = []
        scale, _ = layers(lib)
        model = lib.nn.Sequential(scale)
        model.register_state_dict_pre_hook(lambda m, p, k: told.append(("root", p, k)))
        scale.register_state_dict_pre_hook(lambda m, p, k: told.append(("scale", p, k)))

        def rename(m: Any, state: Any, prefix: str, metadata: Any) -> None:
            state[prefix + "weight"] = state.pop(prefix + "w")

        scale.register_state_dict_post_hook(rename)
        model.register_state_dict_post_hook(lambda m, s, p, d: told.append((list(s), p)))
        return [*told, list(model.state_dict(keep_vars=True))]

    ours, theirs = both(story)
    assert ours == theirs


def test_load_state_dict_hooks() -> None:
    def story(lib: Any) -> list[Any]:
        told: list[Any] = []
        scale, _ = layers(lib)
        model = lib.nn.Sequential(scale, lib.nn.Identity())

        def rename(m: Any, state: Any, prefix: str, *rest: Any) -> None:
            own = sorted(name for name in state if name.startswith(prefix))
            told.append((type(m).__name__, own, prefix, len(rest)))
            if prefix + "weight" in state:
                state[prefix + "w"] = state.pop(prefix + "weight")

        model.register_load_state_dict_pre_hook(lambda m, state, *rest: state.pop("old", None))
        scale.register_load_state_dict_pre_hook(rename)
        scale._register_load_state_dict_pre_hook(lambda state, prefix, *rest: told.append(prefix))

        def forgive(m: Any, keys: Any) -> None:
            told.append((type(m).__name__, list(keys.missing_keys), list(keys.unexpected_keys)))
            keys.unexpected_keys.clear()

        model.register_load_state_dict_post_hook(forgive)
        weight = lib.tensor([7.0, 8.0])
        given = {"old": weight, "extra": weight, "0.weight": weight}
        result = model.load_state_dict(given)
        told.append((list(result.missing_keys), list(result.unexpected_keys), list(given)))
        told.append(scale.w.tolist())
        return told

    ours, theirs = both(story)
    assert ours == theirs


def test_an_unforgiven_key_is_still_an_error() -> None:
    scale, _ = layers(cr)
    seen = []
    scale.register_load_state_dict_post_hook(lambda m, keys: seen.append(keys))
    with pytest.raises(CheckpointError, match="unexpected 1: x"):
        scale.load_state_dict({"w": cr.zeros(2), "x": cr.zeros(1)})
    assert len(seen) == 1


def test_a_pre_hook_that_notes_an_error() -> None:
    scale, _ = layers(cr)
    scale.register_load_state_dict_pre_hook(lambda *args: args[-1].append("made by version 1"))
    with pytest.raises(CheckpointError, match="made by version 1"):
        scale.load_state_dict({"w": cr.zeros(2)})
    assert scale.w.tolist() == [2, 3]


@pytest.mark.parametrize("before", [False, True])
def test_backward_hooks_must_return_tensors(before: bool) -> None:
    layer = nn.Identity()
    if before:
        layer.register_full_backward_pre_hook(lambda m, go: 3)
    else:
        layer.register_full_backward_hook(lambda m, gi, go: (3,))
    with pytest.raises(GraphError, match=r"hook: it must return tensors or None.*, got int"):
        layer(cr.ones(2, requires_grad=True)).sum().backward()
