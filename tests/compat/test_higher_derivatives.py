"""Derivatives of derivatives in whole networks, beside PyTorch's, in float64."""

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity

RNG = np.random.default_rng(7)
IMAGES, FAKES = RNG.standard_normal((2, 4, 2, 8, 8))
MIX = RNG.random((4, 1, 1, 1))
LABELS = np.array([0, 2, 1, 2])


def network(o):
    """Convolutions, batch norm, pooling of each kind, dense layers."""
    nn = o.nn
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4), nn.Sigmoid(), nn.AvgPool2d(2, 1, 1),
        nn.BatchNorm2d(4), nn.LeakyReLU(0.2), nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten(),
        nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3),
    )  # fmt: skip


@pytest.fixture
def twins():
    torch.manual_seed(3)
    ours, theirs = network(cr).double(), network(torch).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return (cr, ours), (torch, theirs)


def gradients(net):
    return [p.grad for p in net.parameters()]


def gradient_penalty(o, net):
    """WGAN-GP's critic: the norm of its slope between real and fake images should be 1."""
    real, fake, mix = o.tensor(IMAGES), o.tensor(FAKES), o.tensor(MIX)
    between = (mix * real + (1 - mix) * fake).requires_grad_(True)
    scores = net(between)[:, 0]
    (slope,) = o.autograd.grad(
        outputs=scores, inputs=between, grad_outputs=o.ones_like(scores), create_graph=True,
        retain_graph=True, only_inputs=True,
    )  # fmt: skip
    slope = slope.view(slope.size(0), -1)
    penalty = ((slope.norm(2, dim=1) - 1) ** 2).mean()
    loss = net(fake)[:, 0].mean() - net(real)[:, 0].mean() + 10 * penalty
    loss.backward()
    return [loss, penalty, *gradients(net)]


def hessian_vector_product(o, net):
    """H v for a fixed v, by differentiating ⟨gradient, v⟩."""
    params = list(net.parameters())
    loss = o.nn.functional.cross_entropy(net(o.tensor(IMAGES)), o.tensor(LABELS))
    grads = o.autograd.grad(loss, params, create_graph=True)
    vs = [o.linspace(-1, 1, p.numel(), dtype=o.float64).view(p.shape) for p in params]
    dot = sum((g * v).sum() for g, v in zip(grads, vs, strict=True))
    return [loss, *grads, *o.autograd.grad(dot, params)]


def meta_gradient(o, net):
    """MAML: the gradient of the loss after two inner steps, through those steps."""
    F = o.nn.functional
    images, labels = o.tensor(IMAGES), o.tensor(LABELS)
    features = net[:11]
    w1, b1, w2, b2 = fast = list(net[11:].parameters())
    for _ in range(2):
        w1, b1, w2, b2 = fast
        scores = F.linear(o.tanh(F.linear(features(images), w1, b1)), w2, b2)
        inner = F.cross_entropy(scores, labels)
        grads = o.autograd.grad(inner, fast, create_graph=True)
        fast = [w - 0.5 * g for w, g in zip(fast, grads, strict=True)]
    w1, b1, w2, b2 = fast
    scores = F.linear(o.tanh(F.linear(features(o.tensor(FAKES)), w1, b1)), w2, b2)
    outer = F.multi_margin_loss(scores, labels, p=2)
    outer.backward()
    return [inner, outer, *gradients(net)]


def third_derivative(o, net):
    """Of the outputs along one direction in the space of images."""
    x = o.tensor(IMAGES).requires_grad_()
    direction = o.tensor(FAKES)
    y = (net.eval()(x) ** 2).sum()
    results = [y]
    for _ in range(3):
        (g,) = o.autograd.grad(y, x, create_graph=True)
        y = (g * direction).sum()
        results += [g, y]
    return results


@pytest.mark.parametrize(
    "compute", [gradient_penalty, hessian_vector_product, meta_gradient, third_derivative]
)
def test_matches_pytorch(compute, twins):
    ours, theirs = (compute(o, net) for o, net in twins)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-7, atol=1e-10)
