"""Losses: where they start, what they refuse, and those that PyTorch does not have."""

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ConfigError, DTypeError, LabelError, ShapeError


def test_losses_start_where_theory_says():
    scores, target = cr.zeros(6, 10), cr.arange(6)
    assert nn.CrossEntropyLoss()(scores, target).item() == pytest.approx(np.log(10))
    assert nn.MultiMarginLoss()(scores, target).item() == pytest.approx(0.9)
    assert nn.BCEWithLogitsLoss()(scores, cr.ones(6, 10)).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize("p", [1, 2])
def test_support_vector_machines_start_where_theory_says(p):
    scores, target = cr.zeros(6, 10), cr.arange(6)
    starts = {nn.MulticlassSVMLoss: 9, nn.CrammerSingerLoss: 1, nn.OneVsAllSVMLoss: 10}
    for kind, hinges in starts.items():
        assert kind(margin=1.5, p=p)(scores, target).item() == pytest.approx(hinges * 1.5**p)
    signs = cr.tensor([1, -1, 1])
    assert nn.HingeLoss(margin=1.5)(cr.zeros(3), signs).item() == 1.5
    assert nn.SquaredHingeLoss(margin=1.5)(cr.zeros(3), signs).item() == 2.25


def test_three_generalisations_of_one_hinge():
    """Scores 3, 5 and 4 of a sample of class 0, Δ = 1: rivals are 3 and 2 short."""
    scores, label = cr.tensor([[3.0, 5.0, 4.0]]).requires_grad_(), cr.tensor([0])
    losses = {
        F.multiclass_svm_loss: (5, [-2, 1, 1]),  # 3 + 2: every rival counts
        F.crammer_singer_loss: (3, [-1, 1, 0]),  # the worst of them
        F.one_vs_all_svm_loss: (11, [0, 1, 1]),  # max(0, 1 - 3) + (1 + 5) + (1 + 4)
    }
    for loss, (value, slopes) in losses.items():
        scores.grad = None
        y = loss(scores, label)
        y.backward()
        assert (y.item(), scores.grad.tolist()) == (value, [slopes])


def test_two_classes_are_one_binary_machine():
    """With scores (-s, s)/2 the three agree with the binary hinge of s, up to one-vs-all's 2."""
    s, target = cr.tensor([0.3, -2.0, 1.7, -0.4]), cr.tensor([1, 1, 0, 0])
    scores = cr.stack([-s / 2, s / 2], 1)
    binary = F.hinge_loss(s, 2 * target - 1, reduction="none")
    np.testing.assert_allclose(F.multiclass_svm_loss(scores, target, reduction="none"), binary)
    np.testing.assert_allclose(F.crammer_singer_loss(scores, target, reduction="none"), binary)
    twice = F.one_vs_all_svm_loss(2 * scores, target, reduction="none")
    np.testing.assert_allclose(twice, 2 * binary, rtol=1e-6)


def test_hinge_of_a_kept_margin_is_flat():
    s = cr.tensor([1.0, 2.0]).requires_grad_()
    F.hinge_loss(s, cr.tensor([1, 1]), reduction="sum").backward()
    assert s.grad.tolist() == [0, 0]


def test_printed_form_of_our_own():
    assert repr(nn.MulticlassSVMLoss(0.5, 2)) == "MulticlassSVMLoss(margin=0.5, p=2)"
    assert repr(nn.SquaredHingeLoss()) == "SquaredHingeLoss(margin=1.0)"


def test_reductions_of_our_own():
    scores, target = cr.randn(4, 3), cr.tensor([0, 2, 1, 1])
    for kind in (nn.MulticlassSVMLoss, nn.CrammerSingerLoss, nn.OneVsAllSVMLoss):
        each = kind(reduction="none")(scores, target)
        assert each.shape == (4,)
        assert kind(reduction="sum")(scores, target).item() == pytest.approx(each.sum().item())
        one = kind(reduction="none")(scores[2], target[2])
        assert one.shape == ()
        assert one.item() == pytest.approx(each[2].item())


def test_weights_are_buffers():
    loss = nn.CrossEntropyLoss(weight=cr.ones(3))
    assert list(loss.state_dict()) == ["weight"]
    assert list(nn.CrossEntropyLoss().state_dict()) == []
    binary = nn.BCEWithLogitsLoss(pos_weight=cr.ones(3))
    assert list(binary.state_dict()) == ["pos_weight"]
    assert binary.double().pos_weight.dtype == cr.float64


def test_weights_may_be_learnt():
    """PyTorch has no gradient for them."""
    pos_weight = cr.ones(2).requires_grad_()
    logits, answers = cr.tensor([[0.0, 1.0]]), cr.tensor([[1.0, 0.0]])
    loss = F.binary_cross_entropy_with_logits(logits, answers, pos_weight=pos_weight)
    loss.backward()
    np.testing.assert_allclose(pos_weight.grad, [np.log(2) / 2, 0])


def test_unknown_reduction():
    two, labels = cr.ones(2, 3), cr.tensor([0, 1])
    for loss, target in (
        (nn.MSELoss, two), (nn.CrossEntropyLoss, labels), (nn.BCEWithLogitsLoss, two),
        (nn.MultiMarginLoss, labels), (nn.KLDivLoss, two), (nn.CrammerSingerLoss, labels),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r'reduction must be "mean", "sum" or "none"'):
            loss(reduction="max")(two, target)
    with pytest.raises(ConfigError, match="reduction must be"):
        F.triplet_margin_with_distance_loss(two, two, two, reduction="max")


ones, labels = cr.ones(2, 3), cr.tensor([0, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: F.cross_entropy(ones, cr.tensor([0, 5])),
            LabelError,
            r"cross_entropy: target 5 is no class: 3 classes are numbered 0 to 2",
        ),
        (
            lambda: F.cross_entropy(ones, cr.tensor([0, 5]), weight=cr.ones(3)),
            LabelError,
            r"target 5 is no class",
        ),
        (lambda: F.nll_loss(ones, cr.tensor([-1, 0])), LabelError, r"nll_loss: target -1 is no"),
        (
            lambda: F.cross_entropy(ones, cr.tensor([0, 1, 2])),
            ShapeError,
            r"target must be \(2,\)\n  scores \(2, 3\) = \(N, C, \*\); target \(3,\)",
        ),
        (
            lambda: F.cross_entropy(ones, labels, weight=cr.ones(4)),
            ShapeError,
            r"weight must hold one factor for each of the 3 classes\n.*weight \(4,\)",
        ),
        (
            lambda: F.nll_loss(ones, labels, weight=cr.ones(2)),
            ShapeError,
            r"one factor for each of the 3 classes",
        ),
        (
            lambda: F.cross_entropy(ones, cr.zeros(2)),
            ShapeError,
            r"a float target is a distribution .* class numbers are integers",
        ),
        (
            lambda: F.cross_entropy(ones, ones, ignore_index=1),
            ConfigError,
            r"ignore_index names a class number to ignore; a float target is a distribution",
        ),
        (
            lambda: F.cross_entropy(ones, labels, label_smoothing=1.5),
            ConfigError,
            r"label_smoothing must lie in 0\.\.1, got 1\.5",
        ),
        (lambda: F.cross_entropy(labels, labels), DTypeError, r"scores must be floats, got int64"),
        (lambda: F.nll_loss(ones, ones[:, 0]), DTypeError, r"must hold class numbers"),
        (lambda: F.nll_loss(ones, 3), DTypeError, r"target must be a tensor or an array, got int"),
        (
            lambda: F.multi_margin_loss(ones, cr.tensor([0, 3])),
            LabelError,
            r"multi_margin_loss: target 3 is no class",
        ),
        (
            lambda: F.multi_margin_loss(ones, labels, weight=cr.ones(2)),
            ShapeError,
            r"one factor for each of the 3 classes",
        ),
        (lambda: F.multi_margin_loss(ones, labels, p=3), ConfigError, r"only p = 1 and p = 2"),
        (lambda: nn.MultiMarginLoss(p=3), ConfigError, r"MultiMarginLoss: only p = 1 and p = 2"),
        (
            lambda: nn.MultiMarginLoss(weight=ones),
            ShapeError,
            r"MultiMarginLoss: weight must hold one factor for each class",
        ),
        (lambda: F.crammer_singer_loss(ones, labels, p=0), ConfigError, r"only p = 1 and p = 2"),
        (
            lambda: F.one_vs_all_svm_loss(cr.ones(1, 2, 3), labels),
            ShapeError,
            r"scores must be \(N, C\) or \(C,\), got \(1, 2, 3\)",
        ),
        (
            lambda: F.hinge_loss(cr.ones(2), labels),
            LabelError,
            r"target 0 is no label: labels are 1 and -1 \(of 0 and 1 make 2 \* target - 1\)",
        ),
        (
            lambda: F.squared_hinge_loss(ones, cr.ones(3)),
            ShapeError,
            r"squared_hinge_loss: input and target need one shape\n.*\(2, 3\); target \(3,\)",
        ),
        (
            lambda: F.multilabel_margin_loss(ones, cr.tensor([[0, 3, -1], [0, 1, -1]])),
            LabelError,
            r"the target holds -1 to 3; 3 classes are numbered 0 to 2, and -1 ends a list",
        ),
        (
            lambda: F.multilabel_margin_loss(ones, cr.tensor([[0, -1]])),
            ShapeError,
            r"multilabel_margin_loss: input and target need one shape",
        ),
        (lambda: F.multilabel_margin_loss(ones, ones), DTypeError, r"must hold class numbers"),
        (
            lambda: F.multilabel_margin_loss(cr.ones(1, 1, 1), cr.zeros(1, 1, 1).long()),
            ShapeError,
            r"scores must be \(N, C\) or \(C,\)",
        ),
        (
            lambda: F.binary_cross_entropy(cr.tensor([1.5]), cr.ones(1)),
            ConfigError,
            r"all elements of input should be between 0 and 1; for scores use",
        ),
        (
            lambda: F.binary_cross_entropy(cr.ones(1), cr.tensor([-0.5])),
            ConfigError,
            r"all elements of target should be between 0 and 1",
        ),
        (
            lambda: F.binary_cross_entropy(ones, cr.ones(3)),
            ShapeError,
            r"binary_cross_entropy: input and target need one shape",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(ones, cr.ones(2, 1)),
            ShapeError,
            r"with_logits: input and target need one shape\n  input \(2, 3\); target \(2, 1\)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(ones, ones, pos_weight=cr.ones(2)),
            ShapeError,
            r"pos_weight must broadcast to the input\n  input \(2, 3\); pos_weight \(2,\)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(ones, ones, cr.ones(4)),
            ShapeError,
            r"weight must broadcast to the input",
        ),
        (
            lambda: F.mse_loss(ones, ones, weight=cr.ones(3)),
            ShapeError,
            r"mse_loss: weight and input need one shape\n  input \(2, 3\); weight \(3,\)",
        ),
        (
            lambda: F.smooth_l1_loss(ones, ones, beta=-1),
            ConfigError,
            r"smooth_l1_loss: beta must not be negative, got -1",
        ),
        (
            lambda: F.huber_loss(ones, ones, delta=0),
            ConfigError,
            r"huber_loss: delta must be positive, got 0",
        ),
        (lambda: F.l1_loss(labels, labels), DTypeError, r"l1_loss: expects floats, got int64"),
        (lambda: F.kl_div(labels, labels, reduction="sum"), DTypeError, r"kl_div: expects floats"),
        (
            lambda: F.gaussian_nll_loss(ones, ones, -ones),
            ConfigError,
            r"var has negative entries",
        ),
        (
            lambda: F.gaussian_nll_loss(ones, ones, cr.ones(2, 4)),
            ShapeError,
            r"var is of incorrect size; .*\n  input \(2, 3\); var \(2, 4\)",
        ),
        (
            lambda: F.cosine_embedding_loss(ones, ones, cr.ones(2, 1)),
            ShapeError,
            r"a target \(N,\) expects inputs \(N, D\)",
        ),
        (
            lambda: F.margin_ranking_loss(ones, cr.ones(3), cr.ones(2)),
            ShapeError,
            r"margin_ranking_loss: all inputs should have the same number of axes",
        ),
        (
            lambda: F.triplet_margin_loss(ones, ones, cr.ones(3)),
            ShapeError,
            r"anchor, positive and negative should have the same number of axes",
        ),
        (
            lambda: F.triplet_margin_loss(ones, ones, ones, margin=0),
            ConfigError,
            r"triplet_margin_loss: margin must be greater than 0, got 0",
        ),
        (
            lambda: nn.TripletMarginLoss(margin=-1.0),
            ConfigError,
            r"TripletMarginLoss: margin must be greater than 0",
        ),
        (
            lambda: nn.TripletMarginWithDistanceLoss(margin=0.0),
            ConfigError,
            r"TripletMarginWithDistanceLoss: margin must be greater than 0",
        ),
        (
            lambda: F.pairwise_distance(ones, cr.ones(4, 3)),
            ShapeError,
            r"pairwise_distance: x1 and x2 need one shape, .*\n  \(2, 3\); \(4, 3\)",
        ),
    ],
)
def test_what_losses_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_shapes_that_do_not_broadcast(name):
    with pytest.raises(ShapeError, match=rf"{name}: input and target .*\n.*\(2, 3\).*\(4,\)"):
        getattr(F, name)(ones, cr.ones(4))


def test_a_wrong_label_is_an_index_error_too():
    with pytest.raises(IndexError):
        F.cross_entropy(ones, cr.tensor([0, 3]))
