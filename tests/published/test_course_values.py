"""Numbers that courses publish for their layers, losses and update rules.

[A1], [A2]: Stanford CS231n, assignments 1 and 2 (the cells that test your implementation).
[notes]: CS231n course notes (cs231n.github.io), by page.
[micrograd]: A. Karpathy, micrograd, README and test/test_engine.py.
"""

import math

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import models, nn, optim


def ramp(start, end, *shape):
    """np.linspace(start, end, num=size).reshape(shape): how the assignments fill arrays."""
    return cr.from_numpy(np.linspace(start, end, num=math.prod(shape)).reshape(shape))


# -- layers ----------------------------------------------------------------------------------------


def test_affine_forward():
    """[A2] FullyConnectedNets, affine layer: forward."""
    x, w = ramp(-0.1, 0.5, 2, 4, 5, 6), ramp(-0.2, 0.3, 120, 3)
    y = F.linear(x.view(2, -1), w.T, ramp(-0.3, 0.1, 3))
    expected = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    np.testing.assert_allclose(y, expected, rtol=1e-8)


def test_relu_forward():
    """[A2] FullyConnectedNets, ReLU activation: forward."""
    expected = [
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.04545455, 0.13636364],
        [0.22727273, 0.31818182, 0.40909091, 0.5],
    ]
    np.testing.assert_allclose(F.relu(ramp(-0.5, 0.5, 3, 4)), expected, atol=5e-9)


def test_conv_forward():
    """[A2] ConvolutionalNetworks, conv_forward_naive: stride 2, padding 1."""
    x, w, b = ramp(-0.1, 0.5, 2, 3, 4, 4), ramp(-0.2, 0.3, 3, 3, 4, 4), ramp(-0.1, 0.2, 3)
    expected = [
        [
            [[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]],
            [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
            [[0.50813986, 0.54309974], [0.64082444, 0.67101435]],
        ],
        [
            [[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]],
            [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
            [[2.36270298, 2.36904306], [2.38090835, 2.38247847]],
        ],
    ]
    np.testing.assert_allclose(F.conv2d(x, w, b, stride=2, padding=1), expected, atol=5e-9)


def test_max_pool_forward():
    """[A2] ConvolutionalNetworks, max_pool_forward_naive: 2 x 2, stride 2."""
    expected = [
        [
            [[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]],
            [[-0.14526316, -0.13052632], [-0.08631579, -0.07157895]],
            [[-0.02736842, -0.01263158], [0.03157895, 0.04631579]],
        ],
        [
            [[0.09052632, 0.10526316], [0.14947368, 0.16421053]],
            [[0.20842105, 0.22315789], [0.26736842, 0.28210526]],
            [[0.32631579, 0.34105263], [0.38526316, 0.4]],
        ],
    ]
    np.testing.assert_allclose(F.max_pool2d(ramp(-0.3, 0.4, 2, 3, 4, 4), 2), expected, atol=5e-9)


def test_batch_norm_statistics():
    """[A2] BatchNormalization: means are beta and deviations gamma after it, close to 0 and 1
    at test time once the running averages are warm."""
    rng = np.random.default_rng(231)
    w1, w2 = rng.standard_normal((50, 60)), rng.standard_normal((60, 3))

    def features():
        return cr.from_numpy(np.maximum(0, rng.standard_normal((200, 50)) @ w1) @ w2)

    layer = nn.BatchNorm1d(3).double()
    layer.weight.data.copy_(cr.tensor([1.0, 2.0, 3.0]))
    layer.bias.data.copy_(cr.tensor([11.0, 12.0, 13.0]))
    y = layer(features()).detach()
    np.testing.assert_allclose(y.mean(0), [11, 12, 13], rtol=1e-10)
    np.testing.assert_allclose(y.std(0, unbiased=False), [1, 2, 3], rtol=1e-5)
    for _ in range(50):
        layer(features())
    y = layer.eval()(features()).detach()
    np.testing.assert_allclose(y.mean(0), [11, 12, 13], atol=0.6)
    np.testing.assert_allclose(y.std(0, unbiased=False), [1, 2, 3], rtol=0.15)


@pytest.mark.parametrize("keep", [0.25, 0.4, 0.7])
def test_dropout_statistics(keep):
    """[A2] Dropout: the mean stays 10, and the fraction set to zero is 1 - keep."""
    x = cr.randn(500, 500) + 10
    y = F.dropout(x, 1 - keep)
    assert y.mean().item() == pytest.approx(10, abs=0.1)
    assert (y == 0).float().mean().item() == pytest.approx(1 - keep, abs=0.005)
    assert F.dropout(x, 1 - keep, training=False) is x


# -- losses ----------------------------------------------------------------------------------------


def test_losses_of_small_random_scores():
    """[A2] FullyConnectedNets, loss layers: "should be around 9" and "close to 2.3"."""
    scores, labels = 0.001 * cr.randn(50, 10), cr.randint(10, (50,))
    assert F.multiclass_svm_loss(scores, labels).item() == pytest.approx(9, abs=0.01)
    assert F.cross_entropy(scores, labels).item() == pytest.approx(2.3026, abs=0.001)


def test_loss_examples_of_the_notes():
    """[notes] Linear classification: SVM with Δ = 10; the SVM-against-softmax figure."""
    scores = cr.tensor([[13.0, -7.0, 11.0]])
    assert F.multiclass_svm_loss(scores, cr.tensor([0]), margin=10).item() == 8
    scores, label = cr.tensor([[-2.85, 0.86, 0.28]]), cr.tensor([2])
    assert F.multiclass_svm_loss(scores, label).item() == pytest.approx(1.58, abs=5e-3)
    assert F.cross_entropy(scores, label).item() == pytest.approx(1.04, abs=5e-3)
    assert F.softmax(scores, 1)[0, 2].item() == pytest.approx(0.353, abs=5e-4)
    huge = F.softmax(
        cr.tensor([123.0, 456.0, 789.0]), 0
    )  # "bad: numeric problem" without the shift
    np.testing.assert_array_equal(huge, [0, 0, 1])


def test_svm_example_of_the_lecture():
    """CS231n, lecture 3: cat, car and frog; losses 2.9, 0 and 12.9, mean 5.27."""
    scores = cr.tensor([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
    loss = F.multiclass_svm_loss(scores, cr.tensor([0, 1, 2]), reduction="none")
    np.testing.assert_allclose(loss, [2.9, 0, 12.9], atol=1e-5)
    assert loss.mean().item() == pytest.approx(5.27, abs=5e-3)


def test_regularisation_of_the_notes():
    """[notes] Linear classification: w1 = [1, 0, 0, 0] and w2 = [0.25] * 4 score 1 on ones;
    their L2 penalties are 1.0 and 0.25."""
    x, w1, w2 = cr.ones(4), cr.tensor([1.0, 0, 0, 0]), cr.full((4,), 0.25)
    assert (w1 @ x).item() == (w2 @ x).item() == 1
    assert nn.regularization.l2(w1).item() == 1.0
    assert nn.regularization.l2(w2).item() == 0.25


# -- networks --------------------------------------------------------------------------------------


def test_two_layer_network():
    """[A2] FullyConnectedNets, TwoLayerNet: test-time scores; loss without and with decay."""
    x = cr.from_numpy(np.linspace(-5.5, 4.5, num=15).reshape(5, 3).T)
    w1, b1 = ramp(-0.7, 0.3, 5, 50), ramp(-0.1, 0.9, 50)
    w2, b2 = ramp(-0.3, 0.4, 50, 7), ramp(-0.9, 0.1, 7)
    scores = (x @ w1 + b1).relu() @ w2 + b2
    expected = [
        [11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765, 16.09215096],
        [12.05769098, 12.74614105, 13.43459113, 14.1230412, 14.81149128, 15.49994135, 16.18839143],
        [12.58373087, 13.20054771, 13.81736455, 14.43418138, 15.05099822, 15.66781506, 16.2846319],
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-9)
    loss = F.cross_entropy(scores, cr.tensor([0, 5, 1]))
    assert loss.item() == pytest.approx(3.4702243556, abs=1e-10)
    decayed = loss + 0.5 * ((w1 * w1).sum() + (w2 * w2).sum())
    assert decayed.item() == pytest.approx(26.5948426952, abs=1e-10)


def test_toy_network():
    """[A1] two_layer_net: scores and loss of the toy model (NumPy's seeds 0 and 1)."""
    rng = np.random.RandomState(0)
    w1 = cr.from_numpy(0.1 * rng.randn(4, 10))
    w2 = cr.from_numpy(0.1 * rng.randn(10, 3))
    x = cr.from_numpy(10 * np.random.RandomState(1).randn(5, 4))
    scores = (x @ w1).relu() @ w2
    expected = [
        [-0.81233741, -1.27654624, -0.70335995],
        [-0.17129677, -1.18803311, -0.47310444],
        [-0.51590475, -1.01354314, -0.8504215],
        [-0.15419291, -0.48629638, -0.52901952],
        [-0.00618733, -0.12435261, -0.15226949],
    ]
    np.testing.assert_allclose(scores, expected, atol=5e-9)
    loss = F.cross_entropy(scores, cr.tensor([0, 1, 2, 2, 1]))
    decayed = loss + 0.05 * ((w1 * w1).sum() + (w2 * w2).sum())
    assert decayed.item() == pytest.approx(1.30378789133, abs=1e-11)


def weights_of(model):
    return sum(p.numel() for p in model.parameters())


def test_numbers_of_weights():
    """LeNet-5 as it is built today, 61,706; He et al. 2016, table 6: ResNet-20 has 0.27 million,
    269,722 with shortcuts of option A."""
    assert weights_of(models.lenet5()) == 61_706
    assert weights_of(models.resnet20()) == 269_722


def test_sizes_and_weights_of_the_notes():
    """[notes] Convolutional networks: AlexNet's first layer; 5 x 5, stride 1, padding 2."""
    layer = nn.Conv2d(3, 96, 11, stride=4)
    assert layer(cr.zeros(1, 3, 227, 227)).shape == (1, 96, 55, 55)
    assert layer.weight.numel() == 34_848
    assert weights_of(layer) == 34_944
    assert nn.Conv2d(1, 1, 5, padding=2)(cr.zeros(1, 1, 32, 32)).shape == (1, 1, 32, 32)


# -- update rules ----------------------------------------------------------------------------------


def test_sgd_momentum():
    """[A2] FullyConnectedNets, sgd_momentum. The course's velocity is -lr times ours."""
    w = nn.Parameter(ramp(-0.4, 0.6, 4, 5))
    w.grad = ramp(-0.6, 0.4, 4, 5)
    rule = optim.SGD([w], lr=1e-3, momentum=0.9)
    rule.state[w] = {"momentum_buffer": ramp(0.6, 0.9, 4, 5) / -1e-3}
    rule.step()
    expected = [
        [0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789],
        [0.47454737, 0.54133684, 0.60812632, 0.67491579, 0.74170526],
        [0.80849474, 0.87528421, 0.94207368, 1.00886316, 1.07565263],
        [1.14244211, 1.20923158, 1.27602105, 1.34281053, 1.4096],
    ]
    np.testing.assert_allclose(w.detach(), expected, atol=5e-9)
    velocity = rule.state[w]["momentum_buffer"] * -1e-3
    np.testing.assert_allclose(velocity[0, :2], [0.5406, 0.55475789], atol=5e-9)


def test_adam():
    """[A2] FullyConnectedNets, adam: the step after t = 5."""
    w = nn.Parameter(ramp(-0.4, 0.6, 4, 5))
    w.grad = ramp(-0.6, 0.4, 4, 5)
    rule = optim.Adam([w], lr=1e-2)
    moments = {"exp_avg": ramp(0.6, 0.9, 4, 5), "exp_avg_sq": ramp(0.7, 0.5, 4, 5)}
    rule.state[w] = {"step": 5, **moments}
    rule.step()
    expected = [
        [-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977],
        [-0.1380274, -0.08544591, -0.03286534, 0.01971428, 0.0722929],
        [0.1248705, 0.17744702, 0.23002243, 0.28259667, 0.33516969],
        [0.38774145, 0.44031188, 0.49288093, 0.54544852, 0.59801459],
    ]
    np.testing.assert_allclose(w.detach(), expected, atol=5e-9)
    first = [0.48, 0.49947368, 0.51894737, 0.53842105, 0.55789474]
    np.testing.assert_allclose(rule.state[w]["exp_avg"][0], first, atol=5e-9)
    first = [0.69966, 0.68908382, 0.67851319, 0.66794809, 0.65738853]
    np.testing.assert_allclose(rule.state[w]["exp_avg_sq"][0], first, atol=5e-9)


# -- graphs ----------------------------------------------------------------------------------------


def test_circuits_of_the_notes():
    """[notes] Backpropagation: f = (x + y) z; the two-dimensional neuron."""
    x, y, z = (cr.tensor(v, requires_grad=True) for v in (-2.0, 5.0, -4.0))
    f = (x + y) * z
    f.backward()
    assert (f.item(), x.grad.item(), y.grad.item(), z.grad.item()) == (-12, -4, -4, 3)

    w = cr.tensor([2.0, -3.0, -3.0], requires_grad=True)
    x = cr.tensor([-1.0, -2.0], requires_grad=True)
    f = cr.sigmoid(w[0] * x[0] + w[1] * x[1] + w[2])
    f.backward()
    assert f.item() == pytest.approx(0.73, abs=5e-3)
    np.testing.assert_allclose(x.grad, [0.39, -0.59], atol=5e-3)
    np.testing.assert_allclose(w.grad, [-0.20, -0.39, 0.20], atol=5e-3)


def test_micrograd_readme():
    """[micrograd] README: g 24.7041, dg/da 138.8338, dg/db 645.5773."""
    a = cr.tensor(-4.0, dtype=cr.float64, requires_grad=True)
    b = cr.tensor(2.0, dtype=cr.float64, requires_grad=True)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert f"{g.item():.4f}" == "24.7041"
    assert f"{a.grad.item():.4f}" == "138.8338"
    assert f"{b.grad.item():.4f}" == "645.5773"


def test_micrograd_sanity_check():
    """[micrograd] test_sanity_check: y = -20, dy/dx = 46 at x = -4."""
    x = cr.tensor(-4.0, requires_grad=True)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()
    assert (y.item(), x.grad.item()) == (-20, 46)
