# ruff: noqa
"""Small models with everything in them, and the loops that train and test any of them."""

from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


# -- models --------------------------------------------------------------------------------------


class MLP(nn.Module):
    def __init__(self, sizes=(12, 16, 8, 5), p=0.0):
        super().__init__()
        layers = OrderedDict()
        for i, (n, m) in enumerate(zip(sizes[:-1], sizes[1:])):
            layers[f"fc{i}"] = nn.Linear(n, m)
            if i < len(sizes) - 2:
                layers[f"bn{i}"] = nn.BatchNorm1d(m)
                layers[f"act{i}"] = nn.ReLU(inplace=True)
                layers[f"drop{i}"] = nn.Dropout(p)
        self.net = nn.Sequential(layers)

    def forward(self, x):
        return self.net(x.view(x.size(0), -1))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_planes, planes, stride=1):
        super(BasicBlock, self).__init__()
        self.conv1 = nn.Conv2d(
            in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != self.expansion * planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(
                    in_planes, self.expansion * planes, kernel_size=1, stride=stride, bias=False
                ),
                nn.BatchNorm2d(self.expansion * planes),
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class ResNet(nn.Module):
    def __init__(
        self, block=BasicBlock, num_blocks=(1, 2), num_classes=5, zero_init_residual=False
    ):
        super().__init__()
        self.in_planes = 8
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = self._make_layer(block, 8, num_blocks[0], stride=1)
        self.layer2 = self._make_layer(block, 16, num_blocks[1], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16 * block.expansion, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (nn.BatchNorm2d,)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
            elif isinstance(m, nn.Linear):
                m.weight.data.normal_(0, 0.01)
                m.bias.data.zero_()

    def _make_layer(self, block, planes, num_blocks, stride):
        strides = [stride] + [1] * (num_blocks - 1)
        layers = []
        for stride in strides:
            layers.append(block(self.in_planes, planes, stride))
            self.in_planes = planes * block.expansion
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(x)


cfg = {"VGG5": [8, "M", 16, 16, "M"]}


class VGG(nn.Module):
    def __init__(self, vgg_name="VGG5", num_classes=5, batch_norm=True):
        super(VGG, self).__init__()
        self.features = self._make_layers(cfg[vgg_name], batch_norm)
        self.classifier = nn.Sequential(
            nn.Linear(16 * 2 * 2, 24),
            nn.ReLU(True),
            nn.Dropout(p=0.0),
            nn.Linear(24, num_classes),
        )
        self._initialize_weights()

    def forward(self, x):
        out = self.features(x)
        out = out.view(out.size(0), -1)
        return self.classifier(out)

    def _make_layers(self, cfg, batch_norm):
        layers = []
        in_channels = 3
        for x in cfg:
            if x == "M":
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                conv2d = nn.Conv2d(in_channels, x, kernel_size=3, padding=1)
                layers += [conv2d, nn.BatchNorm2d(x)] if batch_norm else [conv2d]
                layers += [nn.ReLU(inplace=True)]
                in_channels = x
        layers += [nn.AvgPool2d(kernel_size=1, stride=1)]
        return nn.Sequential(*layers)

    def _initialize_weights(self):
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                n = m.kernel_size[0] * m.kernel_size[1] * m.out_channels
                m.weight.data.normal_(0, (2.0 / n) ** 0.5)
                if m.bias is not None:
                    m.bias.data.zero_()
            elif isinstance(m, nn.BatchNorm2d):
                m.weight.data.fill_(1)
                m.bias.data.zero_()


class Inception(nn.Module):
    def __init__(self, in_planes=3, num_classes=5):
        super().__init__()
        self.b1 = nn.Conv2d(in_planes, 4, kernel_size=1)
        self.b2 = nn.Sequential(
            nn.Conv2d(in_planes, 4, kernel_size=1),
            nn.ReLU(True),
            nn.Conv2d(4, 6, 3, padding="same"),
        )
        self.b3 = nn.ModuleList(
            [
                nn.Conv2d(in_planes, 2, (1, 3), padding=(0, 1)),
                nn.Conv2d(in_planes, 2, (3, 1), padding=(1, 0)),
            ]
        )
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.head = nn.Linear(4 + 6 + 4 + in_planes, num_classes)

    def forward(self, x):
        y1 = self.b1(x)
        y2 = self.b2(x)
        y3 = torch.cat([b(x) for b in self.b3], dim=1)
        y = torch.cat([y1, y2, y3, self.pool(x)], 1)
        y = F.leaky_relu(y, 0.1)
        return self.head(y.mean([2, 3]))


class SqueezeExcite(nn.Module):
    def __init__(self, channels=8, reduction=4, num_classes=5):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, stride=2, padding=1)
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )
        self.out = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.stem(x)
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        x = x * y.expand_as(x)
        return self.out(F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1))


class DenseLayer(nn.Sequential):
    def __init__(self, num_input_features, growth_rate, bn_size=2):
        super().__init__()
        self.add_module("norm1", nn.BatchNorm2d(num_input_features))
        self.add_module("relu1", nn.ReLU(inplace=True))
        self.add_module(
            "conv1", nn.Conv2d(num_input_features, bn_size * growth_rate, 1, bias=False)
        )
        self.add_module("norm2", nn.BatchNorm2d(bn_size * growth_rate))
        self.add_module("relu2", nn.ReLU(inplace=True))
        self.add_module(
            "conv2", nn.Conv2d(bn_size * growth_rate, growth_rate, 3, padding=1, bias=False)
        )

    def forward(self, x):
        new_features = super().forward(x)
        return torch.cat([x, new_features], 1)


class DenseNet(nn.Module):
    def __init__(self, growth_rate=4, num_classes=5):
        super().__init__()
        self.features = nn.Sequential(OrderedDict([("conv0", nn.Conv2d(3, 4, 3, 1, 1))]))
        n = 4
        for i in range(2):
            self.features.add_module("denselayer%d" % (i + 1), DenseLayer(n, growth_rate))
            n += growth_rate
        self.features.add_module("pool", nn.AvgPool2d(2, 2))
        self.classifier = nn.Linear(n, num_classes)

    def forward(self, x):
        out = F.relu(self.features(x), inplace=True)
        out = F.adaptive_avg_pool2d(out, (1, 1))
        return self.classifier(torch.flatten(out, 1))


def channel_shuffle(x, groups):
    batchsize, num_channels, height, width = x.size()
    channels_per_group = num_channels // groups
    x = x.view(batchsize, groups, channels_per_group, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batchsize, -1, height, width)


class MobileBlock(nn.Module):
    def __init__(self, num_classes=5):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.pointwise = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.scale = nn.Parameter(torch.ones(1) * 0.5)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stem(x)), 2)
        x1, x2 = x.chunk(2, dim=1)
        x2 = self.norm(self.pointwise(self.depthwise(x2)))
        x2 = x2 * torch.sigmoid(x2)
        x = channel_shuffle(torch.cat((x1, self.scale * x2), dim=1), 2)
        return self.fc(x.flatten(2).mean(-1))


class Attention(nn.Module):
    def __init__(self, dim=8, heads=2, num_classes=5):
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.patch = nn.Conv2d(3, dim, kernel_size=4, stride=4)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos = nn.Parameter(torch.zeros(1, 5, dim))
        self.qkv = nn.Linear(dim, dim * 3, bias=False)
        self.proj = nn.Linear(dim, dim)
        self.head = nn.Linear(dim, num_classes)
        self.register_buffer("mask", torch.tril(torch.ones(5, 5)))

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls.expand(x.shape[0], -1, -1), x), dim=1) + self.pos
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        attn = (q @ k.transpose(-2, -1)) * self.scale
        attn = attn.masked_fill(self.mask == 0, float("-inf")).softmax(dim=-1)
        x = x + self.proj((attn @ v).transpose(1, 2).reshape(B, N, C))
        return self.head(x[:, -1])


MODELS = {
    model.__name__: (model, (6, 3, 2, 2) if model is MLP else (6, 3, 8, 8))
    for model in (MLP, ResNet, VGG, Inception, SqueezeExcite, DenseNet, MobileBlock, Attention)
}


# -- training ------------------------------------------------------------------------------------


def sgd_with_schedule(model, batches):
    optimizer = optim.SGD(
        model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    scheduler = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 2], gamma=0.1)
    criterion = nn.CrossEntropyLoss()
    history = []
    for epoch in range(3):
        model.train()
        train_loss, correct, total = 0, 0, 0
        for batch_idx, (inputs, targets) in enumerate(batches):
            optimizer.zero_grad(set_to_none=True)
            outputs = model(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            train_loss += loss.item() * inputs.size(0)
            _, predicted = outputs.max(1)
            total += targets.size(0)
            correct += predicted.eq(targets).sum().item()
        scheduler.step()
        history.append((train_loss / total, correct / total, optimizer.param_groups[0]["lr"]))
    return history


def adam_with_accumulation(model, batches):
    decay, no_decay = [], []
    for name, param in model.named_parameters():
        if not param.requires_grad:
            continue
        (no_decay if len(param.shape) == 1 or name.endswith(".bias") else decay).append(param)
    optimizer = torch.optim.AdamW(
        [{"params": no_decay, "weight_decay": 0.0}, {"params": decay, "weight_decay": 0.05}],
        lr=1e-2,
        betas=(0.9, 0.95),
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    history = []
    optimizer.zero_grad()
    for step in range(4):
        for images, labels in batches:
            loss = F.cross_entropy(model(images), labels, label_smoothing=0.1) / len(batches)
            loss.backward()
        for p in model.parameters():
            p.grad.data.clamp_(-0.5, 0.5)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        history.append((loss.detach().item(), scheduler.get_last_lr()[0]))
    return history


def moving_average(model, batches):
    ema = {k: v.clone() for k, v in model.state_dict().items()}
    mean = [p.detach().clone() for p in model.parameters()]
    optimizer = optim.Adam(model.parameters(), lr=5e-3, eps=1e-6)
    for x, y in batches:
        optimizer.zero_grad()
        F.nll_loss(F.log_softmax(model(x), dim=1), y).backward()
        optimizer.step()
        with torch.no_grad():
            for k, v in model.state_dict().items():
                if torch.is_floating_point(v):
                    ema[k].mul_(0.9).add_(v, alpha=0.1)
            for m, p in zip(mean, model.parameters()):
                m.lerp_(p, 0.25)
    model.load_state_dict(ema)
    model.eval()
    return [float(m.norm()) for m in mean]


def by_hand(model, batches):
    learning_rate = 1e-2
    losses = []
    for x, y in batches:
        y_pred = model(x)
        onehot = torch.zeros_like(y_pred).scatter_(1, y.unsqueeze(1), 1.0)
        loss = (y_pred - onehot).pow(2).sum() / y.numel()
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for param in model.parameters():
                param -= learning_rate * param.grad
    return losses


@torch.no_grad()
def evaluate(model, batches):
    model.eval()
    correct = total = 0
    confusion = torch.zeros(5, 5, dtype=torch.int64)
    probabilities = []
    for images, labels in batches:
        outputs = model(images)
        _, predicted = torch.max(outputs, 1)
        total += labels.size(0)
        correct += (predicted == labels).sum().item()
        for t, p in zip(labels.view(-1), predicted.view(-1)):
            confusion[t.long(), p.long()] += 1
        values, indices = outputs.topk(3, dim=1, largest=True, sorted=True)
        hits = indices.t().eq(labels.view(1, -1).expand_as(indices.t()))
        probabilities.append(torch.softmax(values, dim=1)[:, 0].mean().item())
        probabilities.append(hits[:3].reshape(-1).float().sum(0).item())
    assert confusion.sum().item() == total
    return [correct / total, *probabilities]


TRAININGS = [sgd_with_schedule, adam_with_accumulation, moving_average, by_hand]
