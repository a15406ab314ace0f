# ruff: noqa
"""Training, evaluation and analysis as people write them, around a small network.

Each script takes (model, loader, folder) and returns numbers; what it prints counts too.
"""

import argparse
import copy
import math
import os
import time
from collections import OrderedDict, defaultdict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torch.backends.cudnn as cudnn
from torch.autograd import Variable
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim.lr_scheduler import StepLR


class Net(nn.Module):
    def __init__(self, num_classes=5):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, 1, padding=1)
        self.dropout1 = nn.Dropout(0.25)
        self.fc1 = nn.Linear(8 * 3 * 3, 16)
        self.fc2 = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(self.bn1(x))
        x = self.conv2(x)
        x = F.relu(x)
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = self.fc1(x)
        x = F.relu(x)
        x = self.fc2(x)
        output = F.log_softmax(x, dim=1)
        return output


# -- the example everybody starts from -----------------------------------------------------------


def train(args, model, device, train_loader, optimizer, epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        if batch_idx % args.log_interval == 0:
            print(
                "Train Epoch: {} [{}/{} ({:.0f}%)]\tLoss: {:.6f}".format(
                    epoch,
                    batch_idx * len(data),
                    len(train_loader) * len(data),
                    100.0 * batch_idx / len(train_loader),
                    loss.item(),
                )
            )
            if args.dry_run:
                break


def test(model, device, test_loader):
    model.eval()
    test_loss = 0
    correct = 0
    count = 0
    with torch.no_grad():
        for data, target in test_loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
            count += len(data)
    test_loss /= count
    print(
        "\nTest set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)\n".format(
            test_loss, correct, count, 100.0 * correct / count
        )
    )
    return test_loss


def mnist_example(model, loader, folder):
    parser = argparse.ArgumentParser(description="PyTorch MNIST Example")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N")
    parser.add_argument("--epochs", type=int, default=2, metavar="N")
    parser.add_argument("--lr", type=float, default=1.0, metavar="LR")
    parser.add_argument("--gamma", type=float, default=0.7, metavar="M")
    parser.add_argument("--no-cuda", action="store_true", default=False)
    parser.add_argument("--dry-run", action="store_true", default=False)
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--log-interval", type=int, default=1, metavar="N")
    parser.add_argument("--save-model", action="store_true", default=True)
    args = parser.parse_args(["--lr", "0.1"])
    use_cuda = not args.no_cuda and torch.cuda.is_available()

    torch.manual_seed(args.seed)
    device = torch.device("cuda" if use_cuda else "cpu")

    model = model.to(device)
    optimizer = optim.SGD(model.parameters(), lr=args.lr)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    losses = []
    for epoch in range(1, args.epochs + 1):
        train(args, model, device, loader, optimizer, epoch)
        losses.append(test(model, device, loader))
        scheduler.step()

    if args.save_model:
        torch.save(model.state_dict(), os.path.join(folder, "mnist_cnn.pt"))
        model.load_state_dict(torch.load(os.path.join(folder, "mnist_cnn.pt"), weights_only=True))
    return losses


# -- a longer training script --------------------------------------------------------------------


class AverageMeter(object):
    """Computes and stores the average and current value"""

    def __init__(self, name, fmt=":f"):
        self.name = name
        self.fmt = fmt
        self.reset()

    def reset(self):
        self.val = 0
        self.avg = 0
        self.sum = 0
        self.count = 0

    def update(self, val, n=1):
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = self.sum / self.count

    def __str__(self):
        fmtstr = "{name} {val" + self.fmt + "} ({avg" + self.fmt + "})"
        return fmtstr.format(**self.__dict__)


def accuracy(output, target, topk=(1,)):
    """Computes the accuracy over the k top predictions for the specified values of k"""
    with torch.no_grad():
        maxk = max(topk)
        batch_size = target.size(0)
        _, pred = output.topk(maxk, 1, True, True)
        pred = pred.t()
        correct = pred.eq(target.view(1, -1).expand_as(pred))
        res = []
        for k in topk:
            correct_k = correct[:k].reshape(-1).float().sum(0, keepdim=True)
            res.append(correct_k.mul_(100.0 / batch_size))
        return res


def adjust_learning_rate(optimizer, epoch, lr):
    lr = lr * (0.1 ** (epoch // 1))
    for param_group in optimizer.param_groups:
        param_group["lr"] = lr


def imagenet_example(model, loader, folder):
    cudnn.benchmark = True
    torch.cuda.manual_seed_all(0)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1).cpu()
    optimizer = torch.optim.SGD(
        model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4, dampening=0.1
    )
    best_acc1 = 0
    filename = os.path.join(folder, "checkpoint.pth.tar")
    for epoch in range(2):
        adjust_learning_rate(optimizer, epoch, 0.05)
        losses, top1, top3 = (
            AverageMeter("Loss", ":.4e"),
            AverageMeter("Acc@1"),
            AverageMeter("Acc@3"),
        )
        model.train()
        end = time.time()
        for i, (images, target) in enumerate(loader):
            images = images.to("cpu", non_blocking=True)
            target = target.to("cpu", non_blocking=True)
            output = model(images)
            loss = criterion(output, target)
            acc1, acc3 = accuracy(output, target, topk=(1, 3))
            losses.update(loss.item(), images.size(0))
            top1.update(acc1[0].item(), images.size(0))
            top3.update(acc3[0].item(), images.size(0))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            assert time.time() >= end
        print("Epoch: [{0}]\t{1}\t{2}\t{3}".format(epoch, losses, top1, top3))
        is_best = top1.avg > best_acc1
        best_acc1 = max(top1.avg, best_acc1)
        torch.save(
            {
                "epoch": epoch + 1,
                "arch": "net",
                "state_dict": model.state_dict(),
                "best_acc1": best_acc1,
                "optimizer": optimizer.state_dict(),
            },
            filename,
        )
    checkpoint = torch.load(filename, map_location="cpu")
    print("=> loaded checkpoint '{}' (epoch {})".format("checkpoint", checkpoint["epoch"]))
    model.load_state_dict(checkpoint["state_dict"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    momentum = [s["momentum_buffer"].norm().item() for s in optimizer.state.values()]
    return [losses.avg, top1.avg, top3.avg, best_acc1, checkpoint["epoch"], *momentum]


# -- accumulation, clipping, warm-up, freezing -----------------------------------------------------


def accumulation(model, loader, folder):
    params = {"decay": [], "no_decay": []}
    for m in model.modules():
        if isinstance(m, (nn.Linear, nn.Conv2d)):
            params["decay"].append(m.weight)
            if m.bias is not None:
                params["no_decay"].append(m.bias)
        elif isinstance(m, nn.modules.batchnorm._BatchNorm):
            params["no_decay"].extend(m.parameters())
    assert sum(len(p) for p in params.values()) == len(list(model.parameters()))
    optimizer = optim.Adam(
        [
            {"params": params["decay"], "weight_decay": 1e-2},
            {"params": params["no_decay"], "weight_decay": 0.0},
        ],
        lr=1e-2,
    )
    lf = lambda x: ((1 - math.cos(x * math.pi / 4)) / 2) * (0.1 - 1) + 1
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lf)
    accumulate = 2
    history = []
    optimizer.zero_grad(set_to_none=True)
    for ni, (imgs, targets) in enumerate(list(loader) * 3):
        if ni <= 2:
            xi = [0, 2]
            for j, x in enumerate(optimizer.param_groups):
                x["lr"] = np.interp(ni, xi, [0.1 if j == 1 else 0.0, 1e-2])
        pred = model(imgs)
        loss = F.cross_entropy(pred, targets, reduction="none").mean() / accumulate
        loss.backward()
        if (ni + 1) % accumulate == 0 or ni + 1 == 3 * len(loader):
            total_norm = torch.nn.utils.clip_grad_norm_(
                model.parameters(), max_norm=10.0, norm_type=2
            )
            clip_grad_value_(model.parameters(), clip_value=0.4)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            scheduler.step()
            history.append([loss.item(), float(total_norm), scheduler.get_last_lr()[0]])
    return history


def fine_tuning(model, loader, folder):
    torch.save(model, None) if False else None
    pretrained = OrderedDict(("module." + k, v) for k, v in model.state_dict().items())
    net = copy.deepcopy(model)
    model_dict = net.state_dict()
    new_state_dict = OrderedDict()
    for k, v in pretrained.items():
        name = k[7:]  # remove `module.`
        new_state_dict[name] = v * 0.5 if torch.is_floating_point(v) else v
    new_state_dict.pop("fc2.weight")
    new_state_dict = {
        k: v
        for k, v in new_state_dict.items()
        if k in model_dict and model_dict[k].size() == v.size()
    }
    msg = net.load_state_dict(new_state_dict, strict=False)
    print(msg.missing_keys, msg.unexpected_keys)
    for param in net.parameters():
        param.requires_grad = False
    num_ftrs = net.fc2.in_features
    fc = net.fc2
    net.fc2 = nn.Linear(num_ftrs, fc.out_features, bias=fc.bias is not None).to(fc.weight)
    net.fc2.load_state_dict(fc.state_dict())
    trainable = [n for n, p in net.named_parameters() if p.requires_grad]
    print(trainable)
    optimizer = optim.SGD(filter(lambda p: p.requires_grad, net.parameters()), lr=0.1, momentum=0.9)
    for inputs, labels in loader:
        with torch.set_grad_enabled(True):
            outputs = net(inputs)
            _, preds = torch.max(outputs, 1)
            loss = nn.NLLLoss()(outputs, labels)
            loss.backward()
            optimizer.step()
    assert all(p.grad is None for p in net.conv1.parameters())
    return [
        loss.item(),
        torch.sum(preds == labels.data).double().item(),
        net.fc2.weight.sum().item(),
    ]


class ModelEMA:
    def __init__(self, model, decay=0.9, updates=0):
        self.ema = copy.deepcopy(model).eval()
        self.updates = updates
        self.decay = lambda x: decay * (1 - math.exp(-x / 2))
        for p in self.ema.parameters():
            p.requires_grad_(False)

    def update(self, model):
        with torch.no_grad():
            self.updates += 1
            d = self.decay(self.updates)
            msd = model.state_dict()
            for k, v in self.ema.state_dict().items():
                if (
                    v.dtype.is_floating_point
                    if hasattr(v.dtype, "is_floating_point")
                    else torch.is_floating_point(v)
                ):
                    v *= d
                    v += (1.0 - d) * msd[k].detach()


def moving_average(model, loader, folder):
    ema = ModelEMA(model)
    optimizer = optim.Adam(model.parameters(), lr=1e-2, betas=(0.5, 0.999), eps=1e-6)
    for x, y in loader:
        optimizer.zero_grad()
        F.nll_loss(model(x), y).backward()
        optimizer.step()
        ema.update(model)
    return [ema.ema(x).sum(0).tolist(), ema.ema.bn1.running_mean.tolist()]


# -- losses and regularisers by hand ---------------------------------------------------------------


class FocalLoss(nn.Module):
    def __init__(self, gamma=2, alpha=None, size_average=True):
        super(FocalLoss, self).__init__()
        self.gamma = gamma
        self.alpha = alpha
        if isinstance(alpha, (float, int)):
            self.alpha = torch.Tensor([alpha, 1 - alpha])
        if isinstance(alpha, list):
            self.alpha = torch.Tensor(alpha)
        self.size_average = size_average

    def forward(self, input, target):
        if input.dim() > 2:
            input = input.view(input.size(0), input.size(1), -1)  # N,C,H,W => N,C,H*W
            input = input.transpose(1, 2)  # N,C,H*W => N,H*W,C
            input = input.contiguous().view(-1, input.size(2))  # N,H*W,C => N*H*W,C
        target = target.view(-1, 1)
        logpt = F.log_softmax(input, dim=-1)
        logpt = logpt.gather(1, target)
        logpt = logpt.view(-1)
        pt = Variable(logpt.data.exp())
        if self.alpha is not None:
            if self.alpha.type() != input.data.type():
                self.alpha = self.alpha.type_as(input.data)
            at = self.alpha.gather(0, target.data.view(-1))
            logpt = logpt * Variable(at)
        loss = -1 * (1 - pt) ** self.gamma * logpt
        if self.size_average:
            return loss.mean()
        else:
            return loss.sum()


class LabelSmoothing(nn.Module):
    def __init__(self, smoothing=0.1):
        super().__init__()
        self.confidence = 1.0 - smoothing
        self.smoothing = smoothing

    def forward(self, x, target):
        logprobs = torch.nn.functional.log_softmax(x, dim=-1)
        nll_loss = -logprobs.gather(dim=-1, index=target.unsqueeze(1))
        nll_loss = nll_loss.squeeze(1)
        smooth_loss = -logprobs.mean(dim=-1)
        loss = self.confidence * nll_loss + self.smoothing * smooth_loss
        return loss.mean()


def dice_loss(input, target, epsilon=1e-6):
    inter = 2 * (input * target).sum(dim=(-1, -2))
    sets_sum = input.sum(dim=(-1, -2)) + target.sum(dim=(-1, -2))
    sets_sum = torch.where(sets_sum == 0, inter, sets_sum)
    return 1 - ((inter + epsilon) / (sets_sum + epsilon)).mean()


def triplets(embeddings, labels, margin=0.3):
    """Batch-hard mining."""
    n = embeddings.size(0)
    dist = torch.pow(embeddings, 2).sum(dim=1, keepdim=True).expand(n, n)
    dist = dist + dist.t()
    dist = dist - 2 * torch.matmul(embeddings, embeddings.t())
    dist = dist.clamp(min=1e-12).sqrt()
    mask = labels.expand(n, n).eq(labels.expand(n, n).t())
    dist_ap, dist_an = [], []
    for i in range(n):
        dist_ap.append(dist[i][mask[i]].max().unsqueeze(0))
        dist_an.append(dist[i][mask[i] == 0].min().unsqueeze(0))
    dist_ap = torch.cat(dist_ap)
    dist_an = torch.cat(dist_an)
    y = torch.ones_like(dist_an)
    return nn.MarginRankingLoss(margin=margin)(dist_an, dist_ap, y)


def losses_by_hand(model, loader, folder):
    results = []
    mse = nn.MSELoss()
    for x, y in loader:
        out = model(x)
        onehot = F.one_hot(y, num_classes=5).to(out)
        one_hot = torch.zeros(y.size(0), 5).double().scatter_(1, y.view(-1, 1), 1)
        assert torch.equal(one_hot, onehot)
        l2_reg = torch.tensor(0.0)
        for param in model.parameters():
            l2_reg = l2_reg + torch.norm(param)
        l1 = sum(p.abs().sum() for p in model.parameters())
        soft = F.softmax(out.detach() / 2.0 + 0.1, dim=1)
        parts = [
            FocalLoss(gamma=2, alpha=[0.1, 0.2, 0.3, 0.2, 0.2])(out, y),
            FocalLoss(gamma=0.5, size_average=False)(
                x[:, :2, :4, :4].sigmoid() * out.mean(), x[:, 2, :4, :4].gt(0).long()
            ),
            LabelSmoothing(0.2)(out, y),
            dice_loss(out.softmax(1), onehot),
            nn.KLDivLoss(reduction="batchmean")(F.log_softmax(out / 2.0, dim=1), soft)
            * (2.0 * 2.0),
            triplets(out, y),
            mse(out.exp(), onehot),
            F.smooth_l1_loss(out, onehot, beta=0.5),
            F.binary_cross_entropy_with_logits(
                out, onehot, pos_weight=torch.full((5,), 2.0).double()
            ),
            nn.BCELoss()(torch.sigmoid(out), onehot),
            -(out * out.exp()).sum(dim=1).mean(),
            1e-3 * l2_reg,
            1e-4 * l1,
            (x[:, :, 1:, :] - x[:, :, :-1, :]).abs().mean() * out.std(),
        ]
        loss = sum(parts)
        model.zero_grad()
        loss.backward()
        results.append([p.item() for p in parts])
        results.append([p.grad.norm(p=2).item() for p in model.parameters()])
    return results


# -- augmentation on tensors ------------------------------------------------------------------------


def mixup_data(x, y, lam, index):
    mixed_x = lam * x + (1 - lam) * x[index, :]
    y_a, y_b = y, y[index]
    return mixed_x, y_a, y_b


def rand_bbox(size, lam):
    W = size[2]
    H = size[3]
    cut_rat = np.sqrt(1.0 - lam)
    cut_w = int(W * cut_rat)
    cut_h = int(H * cut_rat)
    cx = np.random.randint(W)
    cy = np.random.randint(H)
    bbx1 = np.clip(cx - cut_w // 2, 0, W)
    bby1 = np.clip(cy - cut_h // 2, 0, H)
    bbx2 = np.clip(cx + cut_w // 2, 0, W)
    bby2 = np.clip(cy + cut_h // 2, 0, H)
    return bbx1, bby1, bbx2, bby2


def augmentation(model, loader, folder):
    np.random.seed(0)
    criterion = nn.CrossEntropyLoss()
    history = []
    for inputs, targets in loader:
        lam = np.random.beta(1.0, 1.0)
        index = torch.from_numpy(np.random.permutation(inputs.size(0)))
        mixed, targets_a, targets_b = mixup_data(inputs, targets, lam, index)
        outputs = model(mixed)
        loss = lam * criterion(outputs, targets_a) + (1 - lam) * criterion(outputs, targets_b)
        history.append(loss.item())
        _, predicted = torch.max(outputs.data, 1)
        correct = (
            lam * predicted.eq(targets_a.data).cpu().sum().float()
            + (1 - lam) * predicted.eq(targets_b.data).cpu().sum().float()
        )
        history.append(float(correct))
        inputs = inputs.clone()
        bbx1, bby1, bbx2, bby2 = rand_bbox(inputs.size(), lam)
        inputs[:, :, bbx1:bbx2, bby1:bby2] = inputs[index, :, bbx1:bbx2, bby1:bby2]
        lam = 1 - ((bbx2 - bbx1) * (bby2 - bby1) / (inputs.size()[-1] * inputs.size()[-2]))
        history.append(criterion(model(inputs), targets).item() * lam)
        mean = torch.as_tensor([0.1, 0.2, 0.3], dtype=inputs.dtype, device=inputs.device)
        std = torch.as_tensor([0.9, 1.0, 1.1], dtype=inputs.dtype)
        inputs.sub_(mean[None, :, None, None]).div_(std.view(1, -1, 1, 1))
        mask = np.ones((8, 8), np.float32)
        mask[2:5, 1:4] = 0.0
        mask = torch.from_numpy(mask).expand_as(inputs)
        inputs = inputs * mask
        inputs = torch.flip(inputs, dims=[3])
        history.append(model(inputs).sum().item())
        padded = F.pad(inputs, (2, 2, 2, 2), mode="reflect")
        history.append(model(padded[..., 1:9, 3:11]).mean(dim=0)[-1].item())
        stacked = torch.stack([i for i in inputs], dim=0)
        assert torch.allclose(stacked, inputs)
        gray = 0.299 * inputs[:, 0] + 0.587 * inputs[:, 1] + 0.114 * inputs[:, 2]
        history.append(model(gray.unsqueeze(1).repeat(1, 3, 1, 1)).max().item())
    return history


# -- looking inside ----------------------------------------------------------------------------------


class GradCAM:
    def __init__(self, model, layer):
        self.model = model
        self.gradients = dict()
        self.activations = dict()

        def backward_hook(module, grad_input, grad_output):
            self.gradients["value"] = grad_output[0]
            return None

        def forward_hook(module, input, output):
            self.activations["value"] = output
            return None

        layer.register_forward_hook(forward_hook)
        layer.register_full_backward_hook(backward_hook)

    def __call__(self, input, class_idx=None, retain_graph=False):
        b, c, h, w = input.size()
        logit = self.model(input)
        if class_idx is None:
            score = logit[:, logit.max(1)[-1]].squeeze()
        else:
            score = logit[:, class_idx].squeeze()
        self.model.zero_grad()
        score.backward(retain_graph=retain_graph)
        gradients = self.gradients["value"]
        activations = self.activations["value"]
        b, k, u, v = gradients.size()
        alpha = gradients.view(b, k, -1).mean(2)
        weights = alpha.view(b, k, 1, 1)
        saliency_map = (weights * activations).sum(1, keepdim=True)
        saliency_map = F.relu(saliency_map)
        saliency_map_min, saliency_map_max = saliency_map.min(), saliency_map.max()
        saliency_map = (
            (saliency_map - saliency_map_min).div(saliency_map_max - saliency_map_min).data
        )
        return saliency_map, logit


def fgsm_attack(image, epsilon, data_grad):
    sign_data_grad = data_grad.sign()
    perturbed_image = image + epsilon * sign_data_grad
    perturbed_image = torch.clamp(perturbed_image, -2, 2)
    return perturbed_image


def inspection(model, loader, folder):
    results = []
    model.eval()
    images, labels = loader[0]
    cam, logit = GradCAM(model, model.conv2)(images[:1])
    results.append(cam.squeeze().tolist())

    features = OrderedDict()
    handles = [
        m.register_forward_hook(
            lambda m, i, o, n=n: features.__setitem__(n, o.detach().cpu().numpy())
        )
        for n, m in model.named_children()
        if not isinstance(m, nn.Dropout)
    ]
    model(images)
    for handle in handles:
        handle.remove()
    for name, f in features.items():
        print(name, f.shape, "%.6f" % f.mean(), "%.6f" % (f > 0).mean())

    x = images.clone().detach().requires_grad_(True)
    output = model(x)
    score, indices = torch.max(output, 1)
    score.sum().backward()
    slc, _ = torch.max(torch.abs(x.grad[0]), dim=0)
    slc = (slc - slc.min()) / (slc.max() - slc.min())
    results.append(slc.numpy().tolist())

    data = images.clone()
    data.requires_grad = True
    loss = F.nll_loss(model(data), labels)
    model.zero_grad()
    loss.backward()
    data_grad = data.grad.data
    adv = fgsm_attack(data, 0.1, data_grad)
    init_pred = model(adv).max(1, keepdim=True)[1]
    results.append(init_pred.squeeze().detach().cpu().numpy().tolist())

    total_params = sum(p.numel() for p in model.parameters())
    total_trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{total_params:,} total parameters, {total_trainable:,} training parameters.")
    grads = defaultdict(float)
    for n, p in model.named_parameters():
        if p.requires_grad and "bias" not in n and p.grad is not None:
            grads[n] = p.grad.abs().mean().item()
            print(n, tuple(p.shape), str(p.device), f"{grads[n]:.5f}")
    results.append(list(grads.values()))
    return results


# -- evaluation ------------------------------------------------------------------------------------


@torch.no_grad()
def evaluation(model, loader, folder):
    was_training = model.training
    model.eval()
    all_preds = torch.tensor([])
    confusion_matrix = np.zeros((5, 5))
    class_correct = list(0.0 for i in range(5))
    outs, ys = [], []
    for i, (inputs, classes) in enumerate(loader):
        outputs = model(inputs)
        _, preds = torch.max(outputs, 1)
        for t, p in zip(classes.view(-1), preds.view(-1)):
            confusion_matrix[t.long(), p.long()] += 1
        c = (preds == classes).squeeze()
        for j in range(len(classes)):
            label = classes[j]
            class_correct[label] += c[j].item()
        all_preds = torch.cat((all_preds, outputs.float()), dim=0)
        outs.append(outputs)
        ys.append(classes)
    model.train(mode=was_training)
    outs, ys = torch.cat(outs), torch.cat(ys)
    probs = torch.exp(outs)
    conf, predictions = torch.max(probs, 1)
    accuracies = predictions.eq(ys)
    # expected calibration error
    ece = torch.zeros(1, dtype=probs.dtype)
    bin_boundaries = torch.linspace(0, 1, 6)
    for bin_lower, bin_upper in zip(bin_boundaries[:-1], bin_boundaries[1:]):
        in_bin = conf.gt(bin_lower.item()) * conf.le(bin_upper.item())
        prop_in_bin = in_bin.float().mean()
        if prop_in_bin.item() > 0:
            accuracy_in_bin = accuracies[in_bin].float().mean()
            avg_confidence_in_bin = conf[in_bin].mean()
            ece += torch.abs(avg_confidence_in_bin - accuracy_in_bin) * prop_in_bin
    order = torch.argsort(conf, descending=True)
    sorted_conf, idx = torch.sort(conf, dim=0, descending=True)
    assert (order == idx).all() and all_preds.shape == (len(ys), 5)
    recall = torch.cumsum(accuracies[order].long(), dim=0).float() / max(1, int(accuracies.sum()))
    print(
        confusion_matrix.diagonal().tolist(),
        class_correct,
        "Acc: %d %%" % (100 * accuracies.double().mean()),
    )
    return [ece.item(), sorted_conf.tolist(), recall.numpy().tolist(), torch.unique(ys).tolist()]


# -- two networks against each other -----------------------------------------------------------------


def adversarial(model, loader, folder):
    netG = nn.Sequential(
        nn.Linear(4, 16),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Linear(16, 3 * 8 * 8),
        nn.Tanh(),
        nn.Unflatten(1, (3, 8, 8)),
    ).double()
    for i, p in enumerate(netG.parameters()):
        p.data.copy_(torch.linspace(-0.3 - i / 10, 0.3, p.numel()).view_as(p).sin())
    netD = model
    head = nn.Linear(5, 1).double()
    nn.init.constant_(head.weight, 0.2)
    nn.init.zeros_(head.bias)
    criterion = nn.BCEWithLogitsLoss()
    optimizerD = optim.Adam([*netD.parameters(), *head.parameters()], lr=2e-3, betas=(0.5, 0.999))
    optimizerG = optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.999))
    fixed_noise = torch.linspace(-1, 1, 24).view(6, 4).double()
    log = []
    for i, data in enumerate(list(loader) * 2, 0):
        netD.zero_grad()
        real = data[0]
        b_size = real.size(0)
        label = torch.full((b_size,), 1.0, dtype=torch.double)
        output = head(netD(real)).view(-1)
        errD_real = criterion(output, label)
        errD_real.backward()
        D_x = output.mean().item()
        fake = netG(fixed_noise + 0.1 * i)
        label.fill_(0)
        output = head(netD(fake.detach())).view(-1)
        errD_fake = criterion(output, label)
        errD_fake.backward()
        D_G_z1 = output.mean().item()
        errD = errD_real + errD_fake
        optimizerD.step()
        netG.zero_grad()
        label.fill_(1)
        output = head(netD(fake)).view(-1)
        errG = criterion(output, label)
        errG.backward()
        optimizerG.step()
        print(
            "[%d]\tLoss_D: %.4f\tLoss_G: %.4f\tD(x): %.4f\tD(G(z)): %.4f"
            % (i, errD.item(), errG.item(), D_x, D_G_z1)
        )
        log.append([errD.item(), errG.item(), D_x, D_G_z1])
    return log


MODELS = {"Net": (Net, (6, 3, 8, 8))}

SCRIPTS = [
    mnist_example,
    imagenet_example,
    accumulation,
    fine_tuning,
    moving_average,
    losses_by_hand,
    augmentation,
    inspection,
    evaluation,
    adversarial,
]
