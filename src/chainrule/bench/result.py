"""What a run of the benchmarks found, and its file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chainrule.bench.turns import geometric_mean
from chainrule.errors import DataError
from chainrule.training.checkpoint import write_atomically

SCHEMA = 1
SLOW = 0.9  # a kernel below this speed is listed by name


@dataclass(frozen=True)
class Row:
    """One case."""

    name: str
    """group/case, as the command takes it."""
    title: str
    unit: str
    values: dict[str, float]
    """Of each side, in the unit."""
    peer: str | None = None
    """Whom the ratio is against."""
    ratio: float | None = None
    """Ours by the peer's: below 1 is faster, or less."""
    quartiles: tuple[float, float] | None = None
    rounds: int = 1
    operations: float | None = None
    """Floating-point operations of a kernel."""
    instruction_set: str | None = None

    @property
    def group(self) -> str:
        """training, inference, kernels, ..."""
        return self.name.partition("/")[0]

    @property
    def speed(self) -> float | None:
        """The peer's time by ours: above 1 is faster."""
        return None if self.ratio is None else 1 / self.ratio

    def gigaflops(self, side: str) -> float | None:
        """10⁹ operations a second, where a kernel's operations are known."""
        if self.operations is None or side not in self.values:
            return None
        return self.operations / self.values[side] / 1e6  # from milliseconds


@dataclass
class Result:
    """Rows, and the machine they were measured on."""

    machine: dict[str, Any]
    threads: int
    quick: bool
    peak: dict[str, dict[str, float]]
    """GFLOP/s of each instruction set, by the number of threads."""
    rows: list[Row] = field(default_factory=list)
    complete: bool = False
    """False if it was interrupted."""
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    schema: int = SCHEMA

    def of(self, group: str) -> Sequence[Row]:
        """The rows of one group."""
        return [row for row in self.rows if row.group == group]

    def summary(self) -> dict[str, Any]:
        """How the kernels do against their peers, as speeds: above 1 is faster."""
        speeds = {row.name: row.speed for row in self.of("kernels") if row.speed is not None}
        if not speeds:
            return {}
        slow = {name: speed for name, speed in speeds.items() if speed < SLOW}
        return {
            "kernels": len(speeds),
            "geometric_mean_speed": geometric_mean(list(speeds.values())),
            "least_speed": min(speeds.values()),
            "slower_than_0.9": dict(sorted(slow.items(), key=lambda item: item[1])),
        }

    def save(self, path: Path) -> None:
        """Write JSON; readers see the old file or the new one, whole."""
        facts = asdict(self) | {"summary": self.summary()}
        write_atomically(path, (json.dumps(facts, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read what `save` wrote. Raises DataError if the file holds something else."""
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            if facts["schema"] != SCHEMA:
                raise DataError(f"{path}: has schema {facts['schema']}; this reads {SCHEMA}")
            facts.pop("summary")
            for row in facts["rows"]:
                row["quartiles"] = row["quartiles"] and tuple(row["quartiles"])
            return cls(**facts | {"rows": [Row(**row) for row in facts["rows"]]})
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: is no result of chainrule bench") from error
