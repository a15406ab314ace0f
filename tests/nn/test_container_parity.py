"""The containers beside PyTorch's: the same operations leave the same names and order."""

import pytest

import chainrule

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity


def modules(o):
    return [o.nn.Linear(2, 3), o.nn.ReLU(), o.nn.Linear(3, 1, bias=False), o.nn.Tanh()]


def parameters(o):
    return [o.ones(2), o.nn.Parameter(o.zeros(3, 1)), o.ones(())]


def popped(c, key=1):
    return c, c.pop(key)


def without(c, key):
    del c[key]
    return c


def assigned(o, c, key):
    c[key] = o.nn.Sigmoid()
    return c


def joined(o, c):
    c += o.nn.Sequential(o.nn.Tanh(), o.nn.Identity())
    return c


def multiplied(c):
    c *= 3
    return c


LISTS = {
    "empty": lambda o, new: new([]),
    "as it is": lambda o, new: new(modules(o)),
    "slice": lambda o, new: new(modules(o))[1:3],
    "step": lambda o, new: new(modules(o))[::-2],
    "pop": lambda o, new: popped(new(modules(o))),
    "pop the last": lambda o, new: popped(new(modules(o)), -1),
    "delete": lambda o, new: without(new(modules(o)), 0),
    "delete a slice": lambda o, new: without(new(modules(o)), slice(1, 3)),
    "assign": lambda o, new: assigned(o, new(modules(o)), -2),
    "append": lambda o, new: new(modules(o)).append(o.nn.ReLU()),
    "extend": lambda o, new: new(modules(o)).extend([o.nn.ReLU(), o.nn.Tanh()]),
    "in place": lambda o, new: joined(o, new(modules(o))),
    "add": lambda o, new: new(modules(o)) + new(modules(o)[:2]),
    "insert": lambda o, new: (lambda c: (c.insert(1, o.nn.Tanh()), c)[1])(new(modules(o))),
    "named": lambda o, new: (lambda c: (c.add_module("head", o.nn.Tanh()), c)[1])(new(modules(o))),
    "alike": lambda o, new: new([o.nn.Linear(2, 2) for _ in range(3)] + [o.nn.ReLU()]),
    "nested": lambda o, new: new([new([o.nn.ReLU(), o.nn.ReLU()]), new([])]),
}
OTHERS = {
    "repeated": lambda o: o.nn.Sequential(*modules(o)[:2]) * 2,
    "repeated, from the left": lambda o: 3 * o.nn.Sequential(o.nn.ReLU()),
    "repeated in place": lambda o: multiplied(o.nn.Sequential(*modules(o)[:2])),
    "dict": lambda o: o.nn.ModuleDict({"b": o.nn.ReLU(), "a": o.nn.Linear(1, 1)}),
    "dict of pairs": lambda o: o.nn.ModuleDict([["x", o.nn.ReLU()], ["y", o.nn.Tanh()]]),
    "dict of a dict": lambda o: o.nn.ModuleDict(o.nn.ModuleDict({"b": o.nn.ReLU()})),
    "dict, popped": lambda o: popped(o.nn.ModuleDict({"b": o.nn.ReLU(), "a": o.nn.Tanh()}), "b"),
    "dict, cleared": lambda o: (lambda c: (c.clear(), c)[1])(o.nn.ModuleDict({"b": o.nn.ReLU()})),
    "parameters": lambda o: o.nn.ParameterList(parameters(o)),
    "parameters, sliced": lambda o: o.nn.ParameterList(parameters(o))[1:],
    "parameters, extended": lambda o: o.nn.ParameterList(parameters(o)).extend(parameters(o)[:1]),
}


def description(thing):
    if isinstance(thing, tuple):
        return [description(t) for t in thing]
    names = [name for name, _ in thing.named_modules()]
    return names, list(thing.state_dict()), repr(thing).replace("torch.", "")


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
@pytest.mark.parametrize("operation", LISTS)
def test_lists_of_modules(operation, kind):
    def done(o):
        container = getattr(o.nn, kind)
        new = (lambda ms: container(*ms)) if kind == "Sequential" else container
        return description(LISTS[operation](o, new))

    assert done(chainrule) == done(torch)


@pytest.mark.parametrize("operation", OTHERS)
def test_other_containers(operation):
    assert description(OTHERS[operation](chainrule)) == description(OTHERS[operation](torch))


def test_dict_of_parameters():
    def done(o):
        p = o.nn.ParameterDict({"left": o.ones(2), "right": o.nn.Parameter(o.zeros(1))})
        p["none"] = None
        seen = [list(p), list(reversed(p)), len(p), "left" in p, "middle" in p, p.get("middle")]
        other = p.copy()
        other.update({"middle": o.zeros(3)})
        seen += [list(p | other), list(p), list(other.keys()), other.popitem()[0]]
        seen += [other.setdefault("left") is p["left"], tuple(p.setdefault("new", o.ones(4)).shape)]
        p |= o.nn.ParameterDict([("last", o.ones(1))])
        seen += [tuple(p.pop("new").shape), list(p.fromkeys(["a", "b"], o.ones(1)).state_dict())]
        del p["right"]
        seen += [[k for k, v in p.items()], [v is None for v in p.values()]]
        seen += [[type(q).__name__ for q in p.parameters()], list(p.state_dict())]
        p.clear()
        return [*seen, len(p)]

    assert done(chainrule) == done(torch)
