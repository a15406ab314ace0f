"""Which batch norm always and only normalises the result of which layer.

The model is called on samples, and the graph of the call tells: a batch norm's input is a
layer's very own result if the same node made both, and nothing else uses that result if the node
was used once and is no output of the model. One call shows one way through the code, so that the
code is read as well (`chainrule.export.branches`).
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from chainrule import nn
from chainrule.autograd import enable_grad
from chainrule.autograd.graph import Node
from chainrule.export.branches import may_part
from chainrule.tensor import Tensor

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


class Call(NamedTuple):
    """One call of a layer or of a batch norm."""

    name: str
    path: tuple[str, ...]  # of the modules that were being called, from the model on
    input: Node | None  # what made the input and the result
    result: Node | None
    axes: int  # of the result


class Trace:
    """The calls of layers and batch norms, and the nodes whose results the model returns."""

    def __init__(self, model: nn.Module, samples: Iterable[tuple[Any, ...]]) -> None:
        self.calls: list[Call] = []
        self.returned: list[Node | None] = []
        self._path: list[str] = []
        watched = copy.deepcopy(model).requires_grad_()  # where no gradient is, no graph is
        for name, module in watched.named_modules():
            self._watch(name, module)
        with enable_grad():
            for sample in samples:
                self._note_returned(watched(*sample))

    def _watch(self, name: str, module: nn.Module) -> None:
        wanted = isinstance(module, BATCH_NORMS + LAYERS)

        def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
            self._path.append(name)

        def leave(module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
            path = tuple(self._path)
            self._path.pop()
            if wanted and args and isinstance(args[0], Tensor) and isinstance(result, Tensor):
                self.calls.append(Call(name, path, args[0].node, result.node, result.ndim))

        module.register_forward_pre_hook(enter, prepend=True)
        module.register_forward_hook(leave)

    def _note_returned(self, result: Any) -> None:
        if isinstance(result, Tensor):
            self.returned.append(result.node)
        elif isinstance(result, dict):
            self._note_returned(tuple(result.values()))
        elif isinstance(result, tuple | list):
            for value in result:
                self._note_returned(value)


Found = tuple[dict[str, tuple[str, ...]], dict[str, str]]


def find_pairs(model: nn.Module, samples: Iterable[tuple[Any, ...]]) -> Found:
    """(batch norms that can be folded, with their layers; the others, with the reasons)."""
    norms = {name: m for name, m in model.named_modules() if isinstance(m, BATCH_NORMS)}
    if not norms:
        return {}, {}
    search = _Search(model, Trace(model, samples))
    pairs, left = {}, {}
    for name in norms:
        why = search.problem_of_norm(name)
        if why is None:
            pairs[name] = search.layers_before(name)
        else:
            left[name] = why
    return pairs, left


class _Search:
    def __init__(self, model: nn.Module, trace: Trace) -> None:
        self.model = model
        self.calls: dict[str, list[Call]] = defaultdict(list)
        self.makers: dict[int, Call] = {}  # by the node of a layer's result
        self.takers: dict[int, list[Call]] = defaultdict(list)  # by the node of their input
        self.returned = {id(node) for node in trace.returned}
        for call in trace.calls:
            self.calls[call.name].append(call)
            if call.input is not None:
                self.takers[id(call.input)].append(call)
            if call.result is not None and isinstance(model.get_submodule(call.name), LAYERS):
                self.makers[id(call.result)] = call

    def layers_before(self, norm: str) -> tuple[str, ...]:
        """The layers whose results a batch norm takes, each once."""
        return tuple(dict.fromkeys(self.makers[id(call.input)].name for call in self.calls[norm]))

    def problem_of_norm(self, name: str) -> str | None:
        """Why a batch norm cannot be folded; None if it can."""
        norm: Any = self.model.get_submodule(name)
        if norm.running_mean is None:
            return "it has no running statistics, and uses the batch's"
        if not _is_plain(norm, BATCH_NORMS):
            return "its own forward or hooks may do anything"
        if not self.calls[name]:
            return "the sample did not reach it"
        for call in self.calls[name]:
            maker = self.makers.get(id(call.input))
            why = self._problem_before(call) if maker is None else self._problem(maker, call)
            if why is not None:
                return why
        return None

    def _problem_before(self, call: Call) -> str:
        for taker in self.takers.get(id(call.result), ()):
            if isinstance(self.model.get_submodule(taker.name), LAYERS):
                return (
                    f"it comes before {taker.name}, not behind a layer; that way round folding is "
                    "exact only without padding"
                )
        return "its input is not the very result of a convolution or linear layer"

    def _problem(self, maker: Call, taker: Call) -> str | None:
        """Why this call of a batch norm cannot be folded into the call that made its input."""
        layer: Any = self.model.get_submodule(maker.name)
        if not _is_plain(layer, LAYERS):
            return f"the own forward or hooks of {maker.name} may do anything"
        if "weight" not in layer._parameters:
            return f"the weight of {maker.name} is computed from others; make it a parameter first"
        if maker.axes != 2 + len(getattr(layer, "kernel_size", ())):
            return f"the outputs of {maker.name} are not on axis 1, where it normalises"
        for each in self.calls[maker.name]:
            node = each.result
            takers = {call.name for call in self.takers.get(id(node), ())}
            once = node is not None and node.uses == 1
            if takers != {taker.name} or not once or id(node) in self.returned:
                return f"the result of {maker.name} is used elsewhere, too"
        if may_part(self.model, maker.path, taker.path):
            return f"whether it follows {maker.name} depends on a condition"
        return None


def _is_plain(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Whether it computes what one of ``kinds`` does, and nothing around it."""
    hooks = module.__dict__["_hooks"]
    around = hooks is not None and (hooks.forward_pre or hooks.forward)
    own = all(type(module).forward is not kind.forward for kind in kinds)
    return not around and not own and "forward" not in module.__dict__
