"""The fit loop: forward, loss, backward, update; a validation after each epoch.

`Trainer` knows nothing of files, data sets or screens: those are callbacks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from chainrule.autograd import no_grad
from chainrule.errors import DivergenceError
from chainrule.nn.module import Module
from chainrule.nn.utils import clip_grad_norm_
from chainrule.optim import Optimizer
from chainrule.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from chainrule.random import default_generator
from chainrule.tensor import Tensor
from chainrule.training.divergence import ONLY_LOSS, first_nonfinite, first_nonfinite_gradient
from chainrule.training.interrupt import Interrupt, deferred_interrupt

Loss = Callable[[Tensor, Tensor], Tensor]

# What the loss of an auxiliary head counts (Szegedy et al. 2015, arXiv:1409.4842, §5).
AUXILIARY = 0.3


class Batches(Protocol):
    """What the loop needs of a loader: batches (images, labels), their number, the epoch."""

    def __iter__(self) -> Any: ...
    def __len__(self) -> int: ...
    def set_epoch(self, epoch: int) -> None: ...


@dataclass
class Tally:
    """Running sums over the images of an epoch or of a data set."""

    images: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0

    def add(self, loss: float, scores: Tensor, labels: Tensor) -> None:
        """Count one batch; loss is its mean."""
        n = len(labels)
        self.images += n
        self.loss_sum += loss * n
        self.correct += int(np.count_nonzero(scores.array.argmax(axis=1) == labels.array))

    @property
    def loss(self) -> float:
        """Mean loss of an image."""
        return self.loss_sum / max(self.images, 1)

    @property
    def accuracy(self) -> float:
        """Correct images / images."""
        return self.correct / max(self.images, 1)


@dataclass(frozen=True)
class EpochMetrics:
    """One line of metrics.csv. Losses are means over images, accuracies fractions."""

    epoch: int  # from 1
    step: int  # updates of the weights so far
    lr: float  # at the end of the epoch
    train_loss: float  # as it was during the epoch, with augmentation
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float  # of training, without validation
    images_per_second: float


class Callback:
    """What may be done beside the training. Every method does nothing until it is overridden."""

    def on_start(self, trainer: Trainer, epochs: int, batches: int) -> None:
        """Training begins or goes on: so many epochs in all, of so many batches."""

    def on_step(self, trainer: Trainer) -> None:
        """The weights were updated; ``trainer.tally`` has the epoch's sums."""

    def on_epoch(self, trainer: Trainer, metrics: EpochMetrics) -> None:
        """An epoch and its validation are over."""

    def on_end(self, trainer: Trainer) -> None:
        """Training is over, however it ended."""


class Trainer:
    """A model, its loss, its optimizer and schedule, and how far training has come.

    A model may give, in training, a tuple: its scores, then those of auxiliary heads, whose
    losses count 0.3.

    loss: (scores (N, C), labels (N,)) -> mean loss. schedule: stepped after every update.
    plateau: told the validation loss after every epoch, beside a schedule that is chainable.
    grad_clip: largest joint norm of the gradients; 0: none. val_loss: for the validation,
    where that differs from the loss that is minimised.
    What stands in `resting` is left in evaluation mode while the other modules train.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        schedule: LRScheduler | None = None,
        grad_clip: float = 0.0,
        *,
        val_loss: Loss | None = None,
        plateau: ReduceLROnPlateau | None = None,
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.val_loss = val_loss or loss
        self.schedule, self.grad_clip = schedule, grad_clip
        self.resting: Sequence[Module] = ()
        self.plateau = plateau
        self.epoch = 0  # epochs that are over
        self.batch = 0  # batches of the present epoch that are over
        self.step = 0  # updates so far
        self.tally = Tally()  # of the present epoch
        self.history: list[EpochMetrics] = []

    def fit(
        self,
        train: Batches,
        val: Iterable[tuple[Tensor, Tensor]],
        epochs: int,
        callbacks: Sequence[Callback] = (),
    ) -> list[EpochMetrics]:
        """Train until ``epochs`` epochs are over, counting those before a resume.

        Ctrl-C lets the present step end and raises CleanInterrupt; `state` is then whole.
        Raises DivergenceError at the first NaN or infinity, before it reaches the weights.
        """
        for callback in callbacks:
            callback.on_start(self, epochs, len(train))
        try:
            # Overflow is looked for below, where the layer can be named.
            with deferred_interrupt() as interrupt, np.errstate(all="ignore"):
                while self.epoch < epochs:
                    self._train_epoch(train, callbacks, interrupt)
                    metrics = self._close_epoch(self._validate(val, interrupt))
                    for callback in callbacks:
                        callback.on_epoch(self, metrics)
        finally:
            for callback in callbacks:
                callback.on_end(self)
        return self.history

    def _train_epoch(
        self, train: Batches, callbacks: Sequence[Callback], interrupt: Interrupt
    ) -> None:
        self.model.train()
        for module in self.resting:
            module.eval()
        train.set_epoch(self.epoch)
        over = self.batch  # after a resume: batches that were trained on before
        begin = time.perf_counter() - self.tally.seconds
        for number, (images, labels) in enumerate(train):
            if number < over:
                continue
            interrupt.check()
            self._train_step(images, labels)
            self.tally.seconds = time.perf_counter() - begin
            for callback in callbacks:
                callback.on_step(self)
        interrupt.check()

    def _train_step(self, images: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad()
        scores, loss = self._scores_and_loss(images, labels)
        value = float(loss.item())
        if not math.isfinite(value):
            raise self._diverged(first_nonfinite(self.model, images))
        loss.backward()
        self._check_gradients()
        if self.grad_clip:
            clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        self.step += 1
        self.batch += 1
        self.tally.add(value, scores, labels)

    def _scores_and_loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(images)
        if not isinstance(output, tuple):
            return output, self.loss(output, labels)
        scores, *auxiliary = output
        losses = [self.loss(other, labels) for other in auxiliary if other is not None]
        return scores, sum((AUXILIARY * loss for loss in losses), self.loss(scores, labels))

    def _check_gradients(self) -> None:
        grads = (p.grad.array for p in self.model.parameters() if p.grad is not None)
        # A sum is finite only if all its terms are; the costly search follows only if not.
        if not math.isfinite(sum(float(g.sum()) for g in grads)):
            where = first_nonfinite_gradient(self.model)
            if where is not None:
                raise self._diverged(where)

    def _validate(self, val: Iterable[tuple[Tensor, Tensor]], interrupt: Interrupt) -> Tally:
        """What the last update of an epoch spoilt shows here first, before it is saved."""
        tally = evaluate_batches(self.model, self.val_loss, val, interrupt)
        if math.isfinite(tally.loss):
            return tally
        self.model.eval()
        where = (first_nonfinite(self.model, images) for images, _ in val)
        raise DivergenceError(
            f"training diverged at step {self.step} (found by the validation of epoch "
            f"{self.epoch + 1}): {next(filter(None, where), ONLY_LOSS)}; try a lower --lr "
            "or --grad-clip 1"
        )

    def _diverged(self, where: str | None) -> DivergenceError:
        lr = self.optimizer.param_groups[0]["lr"]
        return DivergenceError(
            f"training diverged at step {self.step + 1} (epoch {self.epoch + 1}, "
            f"batch {self.batch + 1}): {where or ONLY_LOSS}; try a lower --lr "
            f"(it was {lr:.3g} here) or --grad-clip 1"
        )

    def _close_epoch(self, val: Tally) -> EpochMetrics:
        tally = self.tally
        metrics = EpochMetrics(
            epoch=self.epoch + 1,
            step=self.step,
            lr=self.optimizer.param_groups[0]["lr"],
            train_loss=tally.loss,
            train_accuracy=tally.accuracy,
            val_loss=val.loss,
            val_accuracy=val.accuracy,
            seconds=round(tally.seconds, 3),
            images_per_second=round(tally.images / max(tally.seconds, 1e-9), 1),
        )
        if self.plateau is not None:
            self.plateau.step(val.loss)
        self.history.append(metrics)
        self.epoch, self.batch, self.tally = self.epoch + 1, 0, Tally()
        return metrics

    # -- saving and loading ------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that an uninterrupted run would have beyond the model's weights."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "tally": asdict(self.tally),
            "history": [asdict(metrics) for metrics in self.history],
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "plateau": None if self.plateau is None else self.plateau.state_dict(),
            "random": default_generator.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`; the model's weights are loaded apart."""
        self.epoch, self.batch, self.step = state["epoch"], state["batch"], state["step"]
        self.tally = Tally(**state["tally"])
        self.history = [EpochMetrics(**metrics) for metrics in state["history"]]
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:  # runs of before had no "schedule"
            self.schedule.load_state_dict(state.get("schedule") or {"last_epoch": self.step})
        if self.plateau is not None:
            self.plateau.load_state_dict(state["plateau"])
        default_generator.set_state(state["random"])


def evaluate_batches(
    model: Module,
    loss: Loss,
    batches: Iterable[tuple[Tensor, Tensor]],
    interrupt: Interrupt | None = None,
    each: Callable[[Tensor, Tensor], None] | None = None,
) -> Tally:
    """Loss and accuracy of a model in evaluation mode; ``each`` sees (scores, labels)."""
    was_training = model.training
    model.eval()
    tally = Tally()
    begin = time.perf_counter()
    try:
        with no_grad():
            for images, labels in batches:
                if interrupt is not None:
                    interrupt.check()
                scores = model(images)
                tally.add(float(loss(scores, labels).item()), scores, labels)
                if each is not None:
                    each(scores, labels)
    finally:
        model.train(was_training)
    tally.seconds = time.perf_counter() - begin
    return tally
