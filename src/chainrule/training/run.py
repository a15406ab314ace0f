"""The folder of a run: what was asked, on what machine, what came out, how to repeat it.

config.toml         all settings, resolved; `chainrule train --config` takes it
environment.json    versions, processor, kernels, threads, the command
metrics.jsonl/.csv  one line per epoch
best.safetensors    the epoch with the highest validation accuracy
last.safetensors    the latest state, with all that `--resume` needs
summary.json        how it ended: accuracies, seconds
samples/            a few test images to try `predict` on (named data sets)
"""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from chainrule.errors import CheckpointError, ConfigError
from chainrule.training.checkpoint import (
    BEST,
    LAST,
    Checkpoint,
    cannot_write,
    load_checkpoint,
    save_checkpoint,
    write_atomically,
)
from chainrule.training.config import TrainConfig, from_dict, read_settings, to_toml
from chainrule.training.loop import Callback, EpochMetrics, Trainer

CONFIG = "config.toml"
ENVIRONMENT = "environment.json"
METRICS_LINES = "metrics.jsonl"
METRICS_TABLE = "metrics.csv"
SUMMARY = "summary.json"
SAMPLES = "samples"
OWN_FILES = (CONFIG, ENVIRONMENT, METRICS_LINES, METRICS_TABLE, SUMMARY, BEST, LAST)


class Run:
    """A run folder, read afresh whenever it is asked."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / CONFIG).is_file():
            raise CheckpointError(
                f"run: {self.path} has no {CONFIG}; name a folder that `chainrule train` made"
            )

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def config(self) -> TrainConfig:
        """All settings."""
        return from_dict(read_settings(self.path / CONFIG), str(self.path / CONFIG))

    @property
    def history(self) -> list[dict[str, Any]]:
        """The epochs, as dicts with the fields of `EpochMetrics`."""
        return [self._json(METRICS_LINES, line) for line in self._text(METRICS_LINES).splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """How it ended; ``status`` is running, finished, interrupted or failed."""
        return self._json(SUMMARY, self._text(SUMMARY))

    @property
    def test_accuracy(self) -> float | None:
        """Of the best checkpoint on the test images; None without such images."""
        return self.summary.get("test_accuracy")

    @property
    def val_accuracy(self) -> float | None:
        """The best checkpoint's accuracy on the validation images."""
        return self.summary.get("val_accuracy")

    @property
    def checkpoint(self) -> Checkpoint:
        """The best checkpoint, read from the file."""
        return load_checkpoint(self.path)

    def _text(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"run: cannot read {self.path / name}: {error}") from error

    def _json(self, name: str, text: str) -> dict[str, Any]:
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"run: {self.path / name} is damaged: {error}") from error

    def write(self, name: str, content: str) -> None:
        """Replace one file of the folder, whole or not at all."""
        # File names that are not UTF-8 become what JSON escapes them as.
        write_atomically(self.path / name, content.encode(errors="backslashreplace"))

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Replace one JSON file of the folder."""
        self.write(name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def create_run(config: TrainConfig, name: str, *, overwrite: bool = False) -> Run:
    """Make the folder, ``config.out`` or runs/NAME-MODEL-TIME, and write the settings into it.

    Raises what `check_out` does, and CheckpointError if it cannot be written.
    """
    path = Path(config.out) if config.out else Path("runs")
    try:
        if config.out:
            check_out(path, overwrite)
            path.mkdir(parents=True, exist_ok=True)
        else:
            path = _new_folder(path / f"{name}-{config.model}-{datetime.now():%Y%m%d-%H%M%S}")
        for name in OWN_FILES:
            (path / name).unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(cannot_write(path, error)) from error
    repeat = shlex.join(["chainrule", "train", "--config", str(path / CONFIG)])
    # Without out: to repeat a run is to make another folder.
    settings = to_toml(replace(config, out=None))
    text = f"# The settings of a chainrule run. To repeat it:\n#   {repeat}\n\n{settings}"
    write_atomically(path / CONFIG, text.encode())
    return Run(path)


def _new_folder(path: Path) -> Path:
    """Make the folder, with a number behind its name if another run, just begun, has that."""
    numbered, number = path, 1
    while True:
        try:
            numbered.mkdir(parents=True)
            return numbered
        except FileExistsError:
            number += 1
            numbered = path.with_name(f"{path.name}-{number}")


def check_out(path: Path, overwrite: bool) -> None:
    """Raise ConfigError if a run must not be written into the folder ``path``."""
    if path.is_file():
        raise ConfigError(f"--out: {path} is a file; name a folder")
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not (path / CONFIG).is_file():
        raise ConfigError(
            f"--out: {path} is not empty and no run of chainrule; name another folder"
        )
    if not overwrite:
        raise ConfigError(
            f"--out: {path} holds a run already; go on with it by --resume {path}, "
            "replace it by --overwrite, or name another folder"
        )


class Recorder(Callback):
    """Writes the metrics and the checkpoints of a run as it goes."""

    def __init__(self, run: Run, checkpoint: Checkpoint) -> None:
        self.run = run
        self.checkpoint = checkpoint  # its model is the one in training

    def on_start(self, trainer: Trainer, epochs: int, batches: int) -> None:
        """A full disk shows here, not after the first epoch; so does a killed run's surplus."""
        if not trainer.step:
            self.save_last(trainer)
        self._write_metrics(trainer.history)

    def on_epoch(self, trainer: Trainer, metrics: EpochMetrics) -> None:
        """Checkpoints first: a resumed run rewrites the metrics from them."""
        if best_epoch(trainer.history) == metrics.epoch:
            self._save(BEST, trainer, None)
        self.save_last(trainer)
        self._write_metrics(trainer.history)

    def save_last(self, trainer: Trainer) -> None:
        """Save where training stands now."""
        self._save(LAST, trainer, trainer.state())

    def _save(self, name: str, trainer: Trainer, state: dict[str, Any] | None) -> None:
        metrics = asdict(trainer.history[-1]) if trainer.history else {}
        save_checkpoint(
            self.run.path / name, replace(self.checkpoint, metrics=metrics, state=state)
        )

    def _write_metrics(self, history: list[EpochMetrics]) -> None:
        rows = [asdict(metrics) for metrics in history]
        self.run.write(METRICS_LINES, "".join(json.dumps(row) + "\n" for row in rows))
        table = io.StringIO()
        names = [field.name for field in fields(EpochMetrics)]
        writer = csv.DictWriter(table, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.run.write(METRICS_TABLE, table.getvalue())


def best_epoch(history: list[EpochMetrics]) -> int:
    """The epoch with the highest validation accuracy; of equals the last, trained longest.

    0 before the first epoch is over.
    """
    return max(((m.val_accuracy, m.epoch) for m in history), default=(0.0, 0))[1]
