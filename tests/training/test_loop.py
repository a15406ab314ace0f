"""The fit loop on its own: batches in, history out; callbacks, clipping, divergence."""

import math

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn, optim
from chainrule.data import DataLoader, TensorDataset
from chainrule.errors import DivergenceError
from chainrule.optim.lr_scheduler import LambdaLR
from chainrule.training import Callback, Trainer
from chainrule.training.loop import Tally, evaluate_batches


def batches(n=24, size=8, seed=0, scale=1.0, shuffle=False):
    """Points in the plane, to be told apart by their first coordinate."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 2)).astype(np.float32) * scale
    return DataLoader(TensorDataset(x, (x[:, 0] > 0).astype(np.int64)), size, shuffle, seed=0)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 8)
        self.outer = nn.Linear(8, 2)

    def forward(self, x):
        return self.outer(F.relu(self.inner(x)))


def trainer(lr=0.5, **options):
    model = Classifier()
    optimizer = optim.SGD(model.parameters(), lr=lr)
    return Trainer(model, F.cross_entropy, optimizer, **options)


def test_it_learns_and_tells():
    events = []

    class Diary(Callback):
        def on_start(self, trainer, epochs, batches):
            events.append(("start", epochs, batches))

        def on_step(self, trainer):
            events.append("step")

        def on_epoch(self, trainer, metrics):
            events.append(("epoch", metrics.epoch))

        def on_end(self, trainer):
            events.append("end")

    t = trainer()
    history = t.fit(batches(), batches(seed=1), 30, [Diary()])
    assert events[:5] == [("start", 30, 3), "step", "step", "step", ("epoch", 1)]
    assert events[-2:] == [("epoch", 30), "end"]
    assert [m.epoch for m in history] == list(range(1, 31))
    assert (t.step, history[-1].step) == (90, 90)
    assert history[-1].train_loss < history[0].train_loss / 2
    assert history[-1].val_accuracy > 0.9


def test_the_schedule_advances_with_each_update():
    t = trainer(lr=1.0)
    t.schedule = LambdaLR(t.optimizer, lambda step: 1 / (1 + step))
    t.fit(batches(), batches(), 2)
    assert t.optimizer.param_groups[0]["lr"] == 1 / 7


def test_losses_of_auxiliary_heads_count_a_part_and_their_scores_nothing():
    class TwoHeads(Classifier):
        def __init__(self):
            super().__init__()
            self.beside = nn.Linear(8, 2)

        def forward(self, x):
            h = F.relu(self.inner(x))
            return (self.outer(h), None, self.beside(h)) if self.training else self.outer(h)

    cr.manual_seed(0)
    net = TwoHeads()
    before = {name: p.array.copy() for name, p in net.named_parameters()}
    x, y = next(iter(batches()))
    main, _, beside = net(x)
    (F.cross_entropy(main, y) + 0.3 * F.cross_entropy(beside, y)).backward()
    gradients = {name: p.grad.array.copy() for name, p in net.named_parameters()}
    t = Trainer(net, F.cross_entropy, optim.SGD(net.parameters(), lr=1.0))
    t._train_step(x, y)
    for name, p in net.named_parameters():
        np.testing.assert_allclose(p.array, before[name] - gradients[name], rtol=1e-5, atol=1e-7)
    assert t.tally.correct == int((main.array.argmax(1) == y.array).sum())


def test_clipping_bounds_the_update():
    t = trainer(lr=1.0, grad_clip=1e-3)
    before = [p.array.copy() for p in t.model.parameters()]
    t.fit(batches(8), batches(8), 1)
    moved = math.sqrt(
        sum(
            float(((p.array - b) ** 2).sum())
            for p, b in zip(t.model.parameters(), before, strict=True)
        )
    )
    assert moved == pytest.approx(1e-3, rel=1e-3)


def test_metrics_are_means_over_images_not_batches():
    loader = batches(10, size=8)  # the second batch has two images only
    t = trainer()
    tally = evaluate_batches(t.model, t.loss, loader)
    x = cr.from_numpy(loader.dataset.tensors[0])
    labels = cr.from_numpy(loader.dataset.tensors[1])
    assert tally.images == 10
    assert tally.loss == pytest.approx(F.cross_entropy(t.model(x), labels).item(), rel=1e-5)
    assert tally.accuracy == np.mean(t.model(x).array.argmax(1) == labels.array)
    assert Tally().accuracy == 0


def test_evaluation_changes_neither_mode_nor_weights():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    before = {name: value.array.copy() for name, value in model.state_dict().items()}
    evaluate_batches(model, F.cross_entropy, batches())
    assert model.training
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name].array) for name in before)


# -- divergence ------------------------------------------------------------------------------------


def test_a_loss_that_overflows_names_step_and_layer():
    t = trainer(lr=1e30)
    with pytest.raises(DivergenceError, match=r"at step 2 \(epoch 1, batch 2\)") as caught:
        t.fit(batches(), batches(), 3)
    assert "the output of layer 'inner' is the first that is not finite" in str(
        caught.value
    ) or "the output of layer 'outer' is the first that is not finite" in str(caught.value)
    assert "try a lower --lr" in str(caught.value)


def test_the_layer_that_breaks_is_the_one_named():
    class Broken(nn.Module):
        def forward(self, x):
            return x * math.inf

    t = trainer()
    t.model.inner = nn.Sequential(nn.Linear(2, 8), Broken(), nn.ReLU())
    with pytest.raises(DivergenceError, match=r"layer 'inner\.1' is the first"):
        t.fit(batches(), batches(), 1)


def test_weights_that_are_not_finite_are_named():
    t = trainer()
    t.model.outer.bias.array[0] = np.nan
    with pytest.raises(DivergenceError, match="bias of layer 'outer' is not finite any more"):
        t.fit(batches(), batches(), 1)


def test_images_that_are_not_finite_are_named():
    with pytest.raises(DivergenceError, match="the input images hold NaN"):
        trainer().fit(batches(scale=np.nan), batches(), 1)


def test_weights_that_the_last_update_of_an_epoch_spoilt_show_in_its_validation():
    t = trainer(lr=1e38)
    with pytest.raises(DivergenceError, match=r"at step 1 \(found by the validation of epoch 1\)"):
        t.fit(batches(8), batches(8), 1)
    assert t.history == []


def test_a_gradient_that_is_not_finite_never_reaches_the_weights():
    class InfiniteSlope(nn.Module):
        def forward(self, x):  # sqrt has an infinite slope at 0
            return cr.sqrt(x * 0) + x

    t = trainer()
    t.model.inner = nn.Sequential(nn.Linear(2, 8), InfiniteSlope())
    before = t.model.outer.weight.array.copy()
    with pytest.raises(DivergenceError, match=r"the gradient of bias of layer 'inner\.0'"):
        t.fit(batches(), batches(), 1)
    assert np.array_equal(t.model.outer.weight.array, before)
    assert t.step == 0


# -- going on --------------------------------------------------------------------------------------


def test_state_taken_between_steps_goes_on_to_the_same_bits():
    class StopAt(Callback):
        def __init__(self, step):
            self.step = step

        def on_step(self, trainer):
            if trainer.step == self.step:
                raise StopIteration

    cr.manual_seed(3)
    whole = trainer()
    whole.fit(batches(shuffle=True), batches(), 4)

    cr.manual_seed(3)
    first = trainer()
    with pytest.raises(StopIteration):
        first.fit(batches(shuffle=True), batches(), 4, [StopAt(5)])
    state = first.state()
    second = trainer()
    second.model.load_state_dict(first.model.state_dict())
    second.load_state(state)
    second.fit(batches(shuffle=True), batches(), 4)
    for p, q in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert np.array_equal(p.array, q.array)
    kept = ("epoch", "step", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
    for a, b in zip(whole.history, second.history, strict=True):
        assert [getattr(a, name) for name in kept] == [getattr(b, name) for name in kept]
