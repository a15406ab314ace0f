"""Regularisers: a price on large weights, added to the loss. Not in PyTorch.

    penalty = Regularizer(alpha=1e-6, beta=1e-4)       # α|W| + βW², of weights, not of biases
    loss = F.cross_entropy(net(images), labels) + penalty(net)

The gradient of βW² is 2βW. So β is half of an optimizer's ``weight_decay`` λ, which adds λW to
the gradient (plain SGD and Adam; AdamW decays apart from the gradient):

    loss + β·ΣW²      (CS231n's notes)             weight_decay = 2β
    loss + ½β·ΣW²     (its assignments, textbooks)  weight_decay = β

α|W| pulls every weight towards 0 at the same rate α·lr a step, however small it is, so many end
near 0; βW² pulls in proportion to the weight, so it makes all smaller and none 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from numbers import Real

from chainrule import ops
from chainrule.errors import ConfigError, DTypeError
from chainrule.nn.layers.norm import _Norm
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor

__all__ = ["Regularizer", "elastic_net", "l1", "l2"]

Parameters = Tensor | Iterable[Tensor]


def l1(parameters: Parameters) -> Tensor:
    """Σ |w| over every element of the parameters. Its gradient is sign(w), 0 at 0."""
    return elastic_net(parameters, 1.0, 0.0)


def l2(parameters: Parameters) -> Tensor:
    """Σ w² over every element of the parameters: squared, not halved. Its gradient is 2w."""
    return elastic_net(parameters, 0.0, 1.0)


def elastic_net(parameters: Parameters, alpha: float, beta: float) -> Tensor:
    """Σ (α|w| + βw²) over every element of the parameters; its gradient is α·sign(w) + 2βw.

    Raises ConfigError if there are no parameters.
    """
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not tensors:
        raise ConfigError("elastic_net: there are no parameters to regularise")
    total = ops.elastic_net(tensors[0], alpha, beta)
    for tensor in tensors[1:]:
        total = total + ops.elastic_net(tensor, alpha, beta)
    return total


class Regularizer:
    """α·Σ|w| + β·Σw² over chosen parameters of a model, to be added to its loss.

    names: patterns of dotted names, such as "layer1.*" or ["*.conv?.weight", "fc.*"].
    kinds: modules whose own parameters count, such as nn.Linear or (nn.Conv2d, nn.Linear).
    biases, norms: whether to count parameters called "bias", and those of normalisation
    layers: their size does not make the function rougher, so it is left alone by default.
    A parameter must satisfy all of these; one that modules share counts once. Frozen
    parameters (requires_grad False) count in the value.

    Raises ConfigError for a negative α or β, and if a model has no such parameter.
    """

    def __init__(
        self,
        alpha: float = 0.0,
        beta: float = 0.0,
        *,
        names: str | Sequence[str] = "*",
        kinds: type[Module] | tuple[type[Module], ...] = Module,
        biases: bool = False,
        norms: bool = False,
    ) -> None:
        if not all(isinstance(x, Real) and x >= 0 for x in (alpha, beta)):
            raise ConfigError(
                "Regularizer: alpha and beta must be numbers and must not be negative, got "
                f"{alpha!r} and {beta!r}"
            )
        self.alpha = alpha
        self.beta = beta
        self.names = (names,) if isinstance(names, str) else tuple(names)
        self.kinds = kinds
        self.biases = biases
        self.norms = norms

    def chosen(self, model: Module) -> Mapping[str, Parameter]:
        """The parameters that count, by dotted name."""
        if not isinstance(model, Module):
            raise DTypeError(
                f"Regularizer: expects a module, got a {type(model).__name__}; elastic_net takes "
                "tensors"
            )
        found: dict[str, Parameter] = {}
        seen: set[int] = set()
        for path, module in model.named_modules():
            if not isinstance(module, self.kinds) or (isinstance(module, _Norm) and not self.norms):
                continue
            for name, parameter in module.named_parameters(path, recurse=False):
                if (
                    id(parameter) not in seen
                    and (self.biases or not name.endswith("bias"))
                    and any(fnmatchcase(name, pattern) for pattern in self.names)
                ):
                    found[name] = parameter
                    seen.add(id(parameter))
        return found

    def __call__(self, model: Module) -> Tensor:
        """The penalty, one number."""
        chosen = self.chosen(model)
        if not chosen:
            raise ConfigError(
                f"Regularizer: {type(model).__name__} has no parameter that fits {self}"
            )
        return elastic_net(chosen.values(), self.alpha, self.beta)

    def __repr__(self) -> str:
        kinds = self.kinds if isinstance(self.kinds, tuple) else (self.kinds,)
        said = [f"alpha={self.alpha}", f"beta={self.beta}"]
        if self.names != ("*",):
            said.append(f"names={list(self.names)}")
        if kinds != (Module,):
            said.append(f"kinds=({', '.join(kind.__name__ for kind in kinds)})")
        said += [f"{name}=True" for name in ("biases", "norms") if getattr(self, name)]
        return f"Regularizer({', '.join(said)})"
