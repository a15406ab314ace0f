# ruff: noqa
"""How models were written some years ago: older names, weights from an address, scripted blocks."""

import math
from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.init as init
import torch.utils.model_zoo as model_zoo
from torch.autograd import Variable
from torch.cuda.amp import autocast
from torch.hub import load_state_dict_from_url
from torch.jit.annotations import List
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd

model_urls = {"resnet": "https://example.org/resnet-00000000.pth"}


def _no_grad_trunc_normal_(tensor, std):
    """Truncated at two standard deviations, by the inverse of the distribution."""
    low, up = (
        (1.0 + math.erf(-2 / math.sqrt(2.0))) / 2.0,
        (1.0 + math.erf(2 / math.sqrt(2.0))) / 2.0,
    )
    with torch.no_grad():
        tensor.uniform_(2 * low - 1, 2 * up - 1)
        tensor.erfinv_()
        tensor.mul_(std * math.sqrt(2.0))
        tensor.clamp_(min=-2 * std, max=2 * std)
    return tensor


class Survives(nn.Module):
    """Stochastic depth as a fixed gate."""

    def __init__(self, p, planes):
        self.planes = planes
        super(Survives, self).__init__()
        self.p = torch.tensor(p)
        self.residual = nn.Sequential()
        for index in range(2):
            self.residual.add_module("layer %d" % index, nn.Conv2d(planes, planes, 3, padding=1))
            self.residual.add_module("norm %d" % index, nn.BatchNorm2d(planes))

    def survival(self):
        var = torch.bernoulli(torch.ones_like(self.p))
        return torch.equal(var, torch.tensor(1).to(var.dtype).to(var.device))

    def forward(self, x):
        if self.training and self.survival():
            return self.residual(x) + x
        return self.residual(x) * self.p.to(x.dtype) + x


class Fit(nn.Module):
    """Half the size from the even and from the odd pixels."""

    def __init__(self, inp, oup):
        super(Fit, self).__init__()
        self.odd = nn.Sequential(
            nn.ConstantPad2d((0, 1, 0, 1), 0), nn.ConstantPad2d((-1, 0, -1, 0), 0)
        )
        self.p1, self.p2 = (nn.Conv2d(inp, oup // 2, 1) for _ in range(2))

    def forward(self, xs):
        x, prev = xs
        p1 = self.p1(F.avg_pool2d(prev, 1, stride=2))
        p2 = self.p2(F.avg_pool2d(self.odd(prev), 1, stride=2))
        prev = torch.cat([p1, p2], 1)
        diffY = torch.tensor([x.size()[2] - prev.size()[2]])
        diffX = torch.tensor([x.size()[3] - prev.size()[3]])
        prev = F.pad(prev, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        return x, prev


class Pyramid(nn.Module):
    def __init__(self, pretrained=False, num_classes=5):
        self.num_classes = num_classes
        super(Pyramid, self).__init__()
        self.features = nn.Sequential(
            OrderedDict([("conv0", nn.Conv2d(3, 8, 3, 1, 1)), ("norm0", nn.BatchNorm2d(8))])
        )
        self.block = Survives(0.5, 8)
        self.fit = Fit(8, 12)
        self.mask = nn.Conv2d(8, 1, kernel_size=1, bias=False)
        self.softmax = nn.Softmax(dim=1)
        self.fc = nn.Linear(12, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                init.kaiming_normal(m.weight)
                if m.bias is not None:
                    init.constant(m.bias, 0.01)
            elif isinstance(m, _BatchNorm):
                m.weight.data.fill_(1)
                m.weight.no_decay = True
            elif isinstance(m, nn.Linear):
                _no_grad_trunc_normal_(m.weight, std=0.02)
            else:
                assert not isinstance(m, _AdaptiveAvgPoolNd)
        marked = [name for name, p in self.named_parameters() if hasattr(p, "no_decay")]
        assert len(marked) == 3 and marked[0] == "features.norm0.weight"
        if pretrained:
            self.load_state_dict(model_zoo.load_url(model_urls["resnet"]))

    def attend(self, x):
        # type: (List[int]) -> List[int]
        torch._assert(x.dim() == 4, "images are expected")
        mask = self.softmax(self.mask(x).view(x.size(0), -1)).view(x.size(0), 1, *x.size()[2:])
        mask = mask / F.max_pool2d(mask, mask.size()[2:]).expand_as(mask)
        with autocast(enabled=False):
            out = x * mask.expand_as(x)
        out += x
        return out

    def forward(self, x):
        x = self.block(F.relu(self.features(x), inplace=True))
        small, wide = self.fit((F.max_pool2d(x, 2), self.attend(x)))
        batch, channels, height, width = small.size()
        padding = Variable(small.data.new_zeros(batch, 12 - channels, height, width))
        wide += torch.cat((small, padding), 1)
        out = F.avg_pool2d(wide, wide.size()[2:])
        return self.fc(out.view(out.size(0), -1))


MODELS = {"Pyramid": (Pyramid, (2, 3, 8, 8))}
