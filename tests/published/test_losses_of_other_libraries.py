"""Examples in the documentation of Keras (keras.io/api/losses) and scikit-learn (sklearn.metrics).

Keras takes the target first, and for its hinges turns labels 0 into -1.
"""

import pytest

import chainrule as cr
import chainrule.nn.functional as F

TRUE, PREDICTED = cr.tensor([[0.0, 1.0], [0.0, 0.0]]), cr.tensor([[0.6, 0.4], [0.4, 0.6]])


def test_keras_hinges():
    """keras.losses.Hinge and SquaredHinge: 1.3 and 1.86."""
    labels = 2 * TRUE - 1
    assert F.hinge_loss(PREDICTED, labels).item() == pytest.approx(1.3)
    assert F.squared_hinge_loss(PREDICTED, labels).item() == pytest.approx(1.86)


def test_keras_huber():
    """keras.losses.Huber: 0.155."""
    assert F.huber_loss(PREDICTED, TRUE).item() == pytest.approx(0.155)


def test_keras_binary_cross_entropy():
    """keras.losses.BinaryCrossentropy: 0.815 of probabilities, 0.865 of logits."""
    assert F.binary_cross_entropy(PREDICTED, TRUE).item() == pytest.approx(0.815, abs=5e-4)
    logits, answers = cr.tensor([-18.6, 0.51, 2.94, -12.8]), cr.tensor([0.0, 1, 0, 0])
    loss = F.binary_cross_entropy_with_logits(logits, answers)
    assert loss.item() == pytest.approx(0.865, abs=5e-4)


def test_keras_categorical_cross_entropy():
    """keras.losses.CategoricalCrossentropy: 1.177."""
    p = cr.tensor([[0.05, 0.95, 0], [0.1, 0.8, 0.1]])
    assert F.nll_loss(p.log(), cr.tensor([1, 2])).item() == pytest.approx(1.177, abs=5e-4)


def test_keras_divergence():
    """keras.losses.KLDivergence: 0.458."""
    loss = F.kl_div(PREDICTED.log(), TRUE, reduction="batchmean")
    assert loss.item() == pytest.approx(0.458, abs=5e-4)


def test_scikit_learn_hinge():
    """sklearn.metrics.hinge_loss: 0.30 of the decisions -2.18, 2.36 and 0.09."""
    loss = F.hinge_loss(cr.tensor([-2.18, 2.36, 0.09]), cr.tensor([-1, 1, 1]))
    assert loss.item() == pytest.approx(0.30, abs=5e-3)
