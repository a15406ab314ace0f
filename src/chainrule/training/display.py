"""What a training run shows while it goes: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from chainrule import kernels
from chainrule.data import Splits
from chainrule.nn.module import Module
from chainrule.training import finetune
from chainrule.training.config import OF_MODELS, TrainConfig, memorizes
from chainrule.training.loop import Callback, EpochMetrics, Trainer
from chainrule.training.run import BEST, CONFIG, LAST, METRICS_TABLE, SAMPLES, Run

if TYPE_CHECKING:
    from rich.console import Console


class Display(Callback, AbstractContextManager["Display"]):
    """Shows nothing. Override what you want to see; used as ``with display: ...``."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the screen as it was found."""

    def on_data(self, stage: str, done: int, total: int) -> None:
        """Data are being downloaded or decoded: done of total (0: unknown)."""

    def on_run(self, run: Run, config: TrainConfig, splits: Splits, model: Module) -> None:
        """The folder is made; training is about to begin."""

    def on_interrupt(self, run: Run) -> None:
        """Ctrl-C was pressed and the state is saved."""

    def on_finish(self, run: Run) -> None:
        """Everything is done and written."""


def choose_display(progress: bool | Display) -> Display:
    """Live on a terminal or in a notebook, plain lines elsewhere, nothing for False."""
    if isinstance(progress, Display):
        return progress
    if not progress:
        return Display()
    from rich.console import Console

    console = Console(highlight=False)
    # In a notebook rich draws with ipywidgets.
    live = find_spec("ipywidgets") is not None if console.is_jupyter else console.is_terminal
    return LiveDisplay(console) if live else PlainDisplay()


# -- words both displays use -----------------------------------------------------------------------

HEADER = "  epoch     loss      acc  val loss  val acc        lr   images/s"


def opening(run: Run, config: TrainConfig, splits: Splits, model: Module) -> list[str]:
    """What is trained on what, and where it is kept."""
    height, width, channels = splits.train.image_shape
    counts = [f"{len(splits.train):,} training", f"{len(splits.val):,} validation"]
    counts += [] if splits.test is None else [f"{len(splits.test):,} test"]
    facts, begun_with = kernels.describe(), run.summary.get("weights")
    lines = [
        f"data     {splits.name}: {len(splits.classes)} classes, {height} x {width} "
        f"{'grey' if channels == 1 else 'colour'}",
        f"images   {', '.join(counts)}",
        f"model    {config.model}: {_learning(config, model)}",
        *(finetune.in_words(begun_with, len(splits.classes)) if begun_with else []),
        f"kernels  {facts['tier']} ({facts['instruction_set']}), {facts['threads']} "
        f"thread{'s' if facts['threads'] > 1 else ''}",
        f"folder   {run.path}",
    ]
    if splits.skipped:
        shown = "; ".join(f"{s.name}: {s.reason}" for s in splits.skipped[:5])
        more = ", ..." if len(splits.skipped) > 5 else ""
        lines.append(f"skipped  unreadable images: {len(splits.skipped)} ({shown}{more})")
    if splits.ignored:
        lines.append(f"ignored  files without an image's extension: {splits.ignored}")
    return lines


def _learning(config: TrainConfig, model: Module) -> str:
    if memorizes(config.model):
        settings = ", ".join(f"{name} {model.config[name]}" for name in OF_MODELS)
        return f"{settings}; it keeps the training images, there are no epochs"
    weights = sum(p.numel() for p in model.parameters())
    return (
        f"{weights:,} weights; {config.optimizer}, lr {config.lr:g}, "
        f"batches of {config.batch_size}, seed {config.seed}"
    )


def epoch_line(m: EpochMetrics, epochs: int) -> str:
    """One line under `HEADER`."""
    return (
        f"{f'{m.epoch}/{epochs}':>7} {m.train_loss:8.4f} {m.train_accuracy:8.1%} "
        f"{m.val_loss:9.4f} {m.val_accuracy:8.1%} {m.lr:9.2g} {m.images_per_second:10,.0f}"
    )


def closing(run: Run) -> tuple[list[str], list[str]]:
    """What was reached and where it lies; the commands to type next."""
    facts = run.summary
    if run.test_accuracy is None:
        reached = f"{facts['val_accuracy']:.2%} validation accuracy (there are no test images)"
    else:
        reached = (
            f"{run.test_accuracy:.2%} test accuracy ({facts['test_images']:,} images; "
            f"validation {facts['val_accuracy']:.2%})"
        )
    results = [
        f"reached   {reached}",
        f"in        {_duration(facts['seconds'])}{_best_epoch(facts)}",
        f"folder    {run.path}",
        *_files(facts),
    ]
    path = str(run.path)
    samples = sorted((run.path / SAMPLES).glob("*.png"))
    image = str(samples[min(7, len(samples) - 1)]) if samples else None
    predict = ["chainrule", "predict", path]
    commands = [
        shlex.join([*predict, image]) if image else f"{shlex.join(predict)} IMAGE...",
        shlex.join(["chainrule", "evaluate", path]),
    ]
    return results, commands


def _best_epoch(facts: Mapping[str, Any]) -> str:
    return f", best epoch {facts['best_epoch']} of {facts['epochs']}" if "epochs" in facts else ""


def _files(facts: Mapping[str, Any]) -> list[str]:
    if "epochs" in facts:
        return [f"          {BEST} (use this), {LAST},", f"          {METRICS_TABLE}, {CONFIG}"]
    return [f"          {BEST} (the images), {CONFIG}"]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def resume_line(run: Run) -> str:
    """How to go on after Ctrl-C."""
    if memorizes(run.config.model):
        if not (run.path / BEST).is_file():
            return "stopped; nothing was lost, begin again"
        command = shlex.join(["chainrule", "evaluate", str(run.path)])
        return f"stopped; the images are kept, to test them: {command}"
    return f"stopped; to go on: {shlex.join(['chainrule', 'train', '--resume', str(run.path)])}"


# -- plain lines ---------------------------------------------------------------------------------


class PlainDisplay(Display):
    """A line per epoch, for log files and pipes."""

    def on_run(self, run: Run, config: TrainConfig, splits: Splits, model: Module) -> None:
        """Say what begins."""
        for line in opening(run, config, splits, model):
            self._say(line)

    def on_start(self, trainer: Trainer, epochs: int, batches: int) -> None:
        """Epochs that an earlier part of a resumed run made."""
        self._epochs = epochs
        self._say(HEADER)
        for metrics in trainer.history:
            self._say(epoch_line(metrics, epochs))

    def on_epoch(self, trainer: Trainer, metrics: EpochMetrics) -> None:
        """One line."""
        self._say(epoch_line(metrics, self._epochs))

    def on_interrupt(self, run: Run) -> None:
        """How to go on."""
        self._say(resume_line(run))

    def on_finish(self, run: Run) -> None:
        """What was reached and what to type next."""
        results, commands = closing(run)
        for line in [*results, *(f"next      {command}" for command in commands)]:
            self._say(line)

    def _say(self, line: str) -> None:
        print(line, file=sys.stdout, flush=True)


# -- live ----------------------------------------------------------------------------------------


class LiveDisplay(Display):
    """A bar over the whole training with rate, time left, loss and accuracy (rich)."""

    def __init__(self, console: Console) -> None:
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self.console = console
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[facts]}"),
            console=console,
            transient=True,
            refresh_per_second=5,
        )
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the screen as it was found."""
        self.bar.stop()

    def on_data(self, stage: str, done: int, total: int) -> None:
        """One bar for each stage."""
        if stage not in self.tasks:
            self.tasks[stage] = self.bar.add_task(stage, total=total or None, facts="")
        self.bar.update(self.tasks[stage], completed=done, total=total or None)

    def on_run(self, run: Run, config: TrainConfig, splits: Splits, model: Module) -> None:
        """Say what begins."""
        for task in self.tasks.values():
            self.bar.remove_task(task)
        self.tasks.clear()
        for line in opening(run, config, splits, model):
            word, _, rest = line.partition(" ")
            self.console.print(f"[bold]{word}[/] {_literal(rest)}", soft_wrap=True)

    def on_start(self, trainer: Trainer, epochs: int, batches: int) -> None:
        """Begin the bar where training begins."""
        self.epochs, self.batches = epochs, batches
        self.console.print(f"[dim]{HEADER}[/]", soft_wrap=True)
        for metrics in trainer.history:
            self._show_epoch(metrics)
        self.training = self.bar.add_task(
            self._epoch_name(trainer.epoch),
            total=epochs * batches,
            completed=trainer.step,
            facts="",
        )

    def on_step(self, trainer: Trainer) -> None:
        """Move the bar."""
        tally = trainer.tally
        speed = tally.images / max(tally.seconds, 1e-9)
        facts = f"{speed:,.0f} images/s  loss {tally.loss:.3f}  acc {tally.accuracy:.1%}"
        if trainer.history:
            facts += f"  val {trainer.history[-1].val_accuracy:.1%}"
        self.bar.update(
            self.training,
            completed=trainer.step,
            description=self._epoch_name(trainer.epoch),
            facts=facts,
        )

    def on_epoch(self, trainer: Trainer, metrics: EpochMetrics) -> None:
        """A line that stays."""
        self._show_epoch(metrics)

    def on_end(self, trainer: Trainer) -> None:
        """The bar goes, the lines stay."""
        self.bar.remove_task(self.training)

    def on_interrupt(self, run: Run) -> None:
        """How to go on."""
        self.console.print(resume_line(run), soft_wrap=True, markup=False)

    def on_finish(self, run: Run) -> None:
        """A panel, and commands that can be copied."""
        from rich.panel import Panel

        results, commands = closing(run)
        self.bar.stop()
        self.console.print(Panel.fit(_literal("\n".join(results)), title="done"))
        self.console.print("[bold]next[/]")
        for command in commands:
            self.console.print(f"  {command}", soft_wrap=True, markup=False)

    def _show_epoch(self, metrics: EpochMetrics) -> None:
        self.console.print(epoch_line(metrics, self.epochs), soft_wrap=True, markup=False)

    def _epoch_name(self, finished: int) -> str:
        return f"epoch {min(finished + 1, self.epochs)}/{self.epochs}"


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(text)
