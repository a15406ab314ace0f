"""The models beside twins written in PyTorch, weights carried over by name."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import models, nn

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity


def torch_lenet5():
    t = torch.nn

    class LeNet5(t.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = t.Conv2d(1, 6, 5, padding=2), t.Conv2d(6, 16, 5)
            self.fc1, self.fc2, self.fc3 = t.Linear(400, 120), t.Linear(120, 84), t.Linear(84, 10)

        def forward(self, x):
            x = t.functional.max_pool2d(self.conv1(x).relu(), 2)
            x = t.functional.max_pool2d(self.conv2(x).relu(), 2).flatten(1)
            return self.fc3(self.fc2(self.fc1(x).relu()).relu())

    return LeNet5()


def torch_resnet20():
    t = torch.nn

    class Block(t.Module):
        def __init__(self, before, after, stride):
            super().__init__()
            self.conv1 = t.Conv2d(before, after, 3, stride, 1, bias=False)
            self.bn1 = t.BatchNorm2d(after)
            self.conv2 = t.Conv2d(after, after, 3, 1, 1, bias=False)
            self.bn2 = t.BatchNorm2d(after)
            self.stride, self.extra = stride, (after - before) // 2

        def forward(self, x):
            y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
            x = x[:, :, :: self.stride, :: self.stride]
            return (y + t.functional.pad(x, (0, 0, 0, 0, self.extra, self.extra))).relu()

    def stage(before, after, stride):
        return t.Sequential(
            Block(before, after, stride), Block(after, after, 1), Block(after, after, 1)
        )

    class ResNet20(t.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = t.Conv2d(3, 16, 3, 1, 1, bias=False), t.BatchNorm2d(16)
            self.layer1, self.layer2 = stage(16, 16, 1), stage(16, 32, 2)
            self.layer3, self.fc = stage(32, 64, 2), t.Linear(64, 10)

        def forward(self, x):
            x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))
            return self.fc(x.mean((2, 3)))

    return ResNet20()


@pytest.mark.parametrize(
    ("name", "twin", "shape"),
    [("lenet5", torch_lenet5, (4, 1, 28, 28)), ("resnet20", torch_resnet20, (4, 3, 17, 16))],
)
def test_scores_gradients_and_statistics(name, twin, shape):
    torch.manual_seed(0)
    theirs = twin().double()
    ours = models.create(name).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal(shape)
    y = np.array([3, 1, 4, 1])
    nn.CrossEntropyLoss()(ours(cr.tensor(x)), cr.tensor(y)).backward()
    torch.nn.CrossEntropyLoss()(theirs(torch.tensor(x)), torch.tensor(y)).backward()
    for (key, p), (twin_key, q) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert key == twin_key
        np.testing.assert_allclose(p.grad.array, q.grad.numpy(), rtol=1e-7, atol=1e-9, err_msg=key)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for key, value in ours.state_dict().items():
        np.testing.assert_allclose(value.array, state[key].numpy(), rtol=1e-10, err_msg=key)
    scores = ours.eval()(cr.tensor(x)).detach().array
    np.testing.assert_allclose(scores, theirs.eval()(torch.tensor(x)).detach(), rtol=1e-8)
