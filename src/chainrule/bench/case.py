"""A case: a name, and how to measure it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chainrule.bench.result import Row
from chainrule.bench.turns import Pace, Step, compare


@dataclass(frozen=True)
class Settings:
    """What the user chose."""

    threads: int = 2
    rounds: int = 7
    quick: bool = False

    def pace(self, seconds: float) -> Pace:
        """Of a case that may take so long."""
        if self.quick:
            return Pace(min(self.rounds, 3), 1, seconds / 10, most=0.2)
        return Pace(self.rounds, min(self.rounds, 3), seconds)


@dataclass(frozen=True)
class Case:
    """One row to be."""

    name: str
    """group/case."""
    title: str
    measure: Callable[[Case, Settings], Row]
    quick: bool = True
    """Whether a quick run has it."""
    instruction_set: str | None = None
    """The one it asks for; None: that in use."""


@dataclass(frozen=True)
class Timed:
    """Measures a case whose sides are run in turns. `sides` prepares them."""

    sides: Callable[[Settings], Mapping[str, Step]]
    unit: str = "ms"
    scale: float = 1e3
    """Units in a second of a step."""
    peer: str | None = None
    seconds: float = 15.0
    operations: float | None = None

    def __call__(self, case: Case, settings: Settings) -> Row:
        sides = self.sides(settings)
        peer = self.peer if self.peer in sides else None
        found = compare(sides, settings.pace(self.seconds), peer)
        return Row(
            case.name, case.title, self.unit,
            {name: seconds * self.scale for name, seconds in found.seconds.items()},
            found.peer, found.ratio, found.quartiles, found.rounds, self.operations,
        )  # fmt: skip
