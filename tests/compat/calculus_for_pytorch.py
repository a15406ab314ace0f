"""Code as people write it for PyTorch that uses its calculus: run as it is, and with its imports
changed. Each function of STORIES returns tensors and numbers, the same from both."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.utils.checkpoint
from torch.autograd import Function, Variable, gradcheck, gradgradcheck
from torch.autograd.function import once_differentiable
from torch.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp
from torch.func import functional_call, grad, jacrev
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


class GuidedReLU(Function):
    """Guided backpropagation: what goes back must be positive, too."""

    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input.clamp(min=0)


class StraightThrough(Function):
    @staticmethod
    def forward(ctx, input):
        return torch.sign(input)

    @staticmethod
    def backward(ctx, grad_output):
        return F.hardtanh(grad_output)


class GradientReversal(Function):
    @staticmethod
    def forward(ctx, x, alpha):
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output.neg() * ctx.alpha, None


class LinearFunction(Function):
    """From PyTorch's notes on extending it."""

    @staticmethod
    def forward(input, weight, bias):
        output = input.mm(weight.t())
        if bias is not None:
            output += bias.unsqueeze(0).expand_as(output)
        return output

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, weight, bias = inputs
        ctx.save_for_backward(input, weight, bias)

    @staticmethod
    def backward(ctx, grad_output):
        input, weight, bias = ctx.saved_tensors
        grad_input = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_input = grad_output.mm(weight)
        if ctx.needs_input_grad[1]:
            grad_weight = grad_output.t().mm(input)
        if bias is not None and ctx.needs_input_grad[2]:
            grad_bias = grad_output.sum(0)
        return grad_input, grad_weight, grad_bias


class FrozenExp(Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        (y,) = ctx.saved_tensors
        return grad_output * y


def values(*shape):
    count = 1
    for n in shape:
        count *= n
    return (torch.arange(count, dtype=torch.float64).view(*shape) * 0.37).sin()


def model():
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Conv2d(3, 2, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * 4 * 4, 3),
    ).double()
    for p in net.parameters():
        p.data.copy_(values(*p.shape) * 0.4)
    return net


def guided_backpropagation():
    x = values(2, 3).requires_grad_()
    GuidedReLU.apply(x * 2).mul(values(2, 3)).sum().backward()
    return [x.grad]


def functions():
    x, w, b = values(4, 3), values(2, 3).requires_grad_(), values(2).requires_grad_()
    y = LinearFunction.apply(x, w, b)
    z = StraightThrough.apply(y) + GradientReversal.apply(y, 0.5) + FrozenExp.apply(y)
    z.pow(2).sum().backward()
    assert gradcheck(LinearFunction.apply, (x.clone().requires_grad_(), w, b), eps=1e-6, atol=1e-4)
    assert gradgradcheck(LinearFunction.apply, (x.clone().requires_grad_(), w, None))
    return [z, w.grad, b.grad]


def grad_cam():
    """Activations and their gradients, caught by hooks of a module."""
    net, caught = model(), {}

    def forward_hook(module, input, output):
        caught["activation"] = output.detach()

    def backward_hook(module, grad_input, grad_output):
        caught["gradient"] = grad_output[0].detach()

    handles = [
        net[3].register_forward_hook(forward_hook),
        net[3].register_full_backward_hook(backward_hook),
    ]
    net.eval()
    score = net(values(1, 2, 6, 6))[0, 1]
    net.zero_grad()
    score.backward()
    for handle in handles:
        handle.remove()
    weights = caught["gradient"].mean(dim=(2, 3), keepdim=True)
    return [F.relu((weights * caught["activation"]).sum(dim=1))]


def feature_extractor():
    net, features = model(), []
    hook = net[1].register_forward_hook(lambda m, i, o: features.append(o))
    net(values(2, 2, 6, 6))
    hook.remove()
    net(values(2, 2, 6, 6))
    assert len(features) == 1
    return features


def gradient_penalty():
    net = model().eval()
    x = values(2, 2, 6, 6).requires_grad_()
    gradients = torch.autograd.grad(
        outputs=net(x),
        inputs=x,
        grad_outputs=torch.ones(2, 3, dtype=torch.float64),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    penalty = ((gradients.norm(2, dim=1) - 1) ** 2).mean()
    penalty.backward()
    grads = [p.grad for p in net.parameters()]  # of those without influence None or zeros
    return [penalty, *[g for g in grads if g is not None and g.abs().sum() > 0]]


def clip_by_hooks():
    net = model()
    for p in net.parameters():
        p.register_hook(lambda g: torch.clamp(g, -0.01, 0.01))
    net(values(2, 2, 6, 6)).sum().backward()
    return [p.grad for p in net.parameters()]


def optimizer_in_backward():
    net = model()

    def step(p):
        with torch.no_grad():
            p.add_(p.grad, alpha=-0.1)
        p.grad = None

    for p in net.parameters():
        p.register_post_accumulate_grad_hook(step)
    net(values(2, 2, 6, 6)).pow(2).sum().backward()
    assert all(p.grad is None for p in net.parameters())
    return list(net.parameters())


def derivatives_of_functions():
    x, y = values(3) + 2, values(3) + 3

    def f(x, y):
        return (x * y).sum() * x.log().sum()

    v = (values(3), values(3) * 2)
    (j,) = [jacobian(lambda x: x.exp() * x.sum(), x)]
    h = hessian(f, (x, y))
    return [
        j,
        *h[0],
        *h[1],
        *hvp(f, (x, y), v)[1],
        *vhp(f, (x, y), v)[1],
        *jvp(lambda x, y: x * y, (x, y), v),
        vjp(f, (x, y))[0],
    ]


def functional_training():
    net = model().eval()
    params = {k: v.detach() for k, v in net.named_parameters()}
    x, target = values(4, 2, 6, 6), torch.tensor([0, 1, 2, 1])

    def loss(params):
        return F.cross_entropy(functional_call(net, params, (x,)), target)

    for _ in range(3):
        grads = grad(loss)(params)
        params = {k: params[k] - 0.1 * grads[k] for k in params}
    return [*params.values(), jacrev(lambda x: (x**2).sum(1))(values(2, 3))]


def maml_step():
    w = values(3).requires_grad_()

    def loss(w, x):
        return ((w * x).sum() - 1) ** 2

    (g,) = torch.autograd.grad(loss(w, values(3)), w, create_graph=True)
    outer = loss(w - 0.1 * g, values(3) + 1)
    outer.backward()
    return [outer, w.grad]


def checkpointed():
    net = model().train()
    x = values(2, 2, 6, 6).requires_grad_()
    y = checkpoint(net[:3], x, use_reentrant=False)
    y = checkpoint_sequential(net[3:], 2, y, use_reentrant=False)
    torch.utils.checkpoint.checkpoint(torch.sin, y, use_reentrant=False).sum().backward()
    return [x.grad, *[p.grad for p in net.parameters()]]


def modes():
    x = Variable(values(3), requires_grad=True)

    @torch.no_grad()
    def evaluate(x):
        return x * 2

    @torch.inference_mode()
    def infer(x):
        return x * 2

    with torch.set_grad_enabled(False):
        quiet = x * 2
    with torch.autograd.set_detect_anomaly(True):
        loss = (x * x).sum()
        loss.backward()
    with torch.no_grad(), torch.enable_grad():
        loud = x * 2
    flags = [t.requires_grad for t in (evaluate(x), infer(x), quiet, loud)]
    return [x.grad, torch.tensor(flags)]


def intermediate_gradients():
    x = values(3).requires_grad_()
    y = x.exp()
    y.retain_grad()
    z = y * y
    z.register_hook(lambda g: g * 2)
    assert not y.is_leaf and x.is_leaf and y.retains_grad
    assert "Exp" in type(y.grad_fn).__name__ or "Exp" in y.grad_fn.name()
    z.sum().backward(retain_graph=True)
    z.sum().backward(inputs=[x])
    return [x.grad, y.grad]


STORIES = [
    guided_backpropagation,
    functions,
    grad_cam,
    feature_extractor,
    gradient_penalty,
    clip_by_hooks,
    optimizer_in_backward,
    derivatives_of_functions,
    functional_training,
    maml_step,
    checkpointed,
    modes,
    intermediate_gradients,
]
