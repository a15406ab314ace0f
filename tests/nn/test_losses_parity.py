"""Loss modules beside PyTorch's: signatures, names, printed form, values, gradients, warnings."""

import inspect
import warnings

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = pytest.mark.parity

RNG = np.random.default_rng(0)
SCORES = RNG.standard_normal((5, 4)) * 3
OTHERS = RNG.standard_normal((2, 5, 4))
LABELS = np.array([0, 3, 2, 1, 3])
SIGNS = np.array([1, -1, -1, 1, 1])
ANSWERS = RNG.integers(0, 2, (5, 4)).astype(float)
LISTS = np.array([[3, 0, -1, 1], [-1, 0, 1, 2], [1, 2, 0, 3], [2, -1, 0, 0], [0, 1, 2, -1]])
CLASSES = np.array([1.0, 0.5, 2.0, 0.1])
LOG_P = np.log(np.full((5, 4), 0.25)) + 0.1 * SCORES
PROBABILITIES = 1 / (1 + np.exp(-SCORES))

# of a module (ours or PyTorch's), and a function that makes its tensors, the loss; and its inputs
LOSSES = {
    "cross entropy": (lambda m, t: m.CrossEntropyLoss(), SCORES, LABELS),
    "cross entropy, weights": (lambda m, t: m.CrossEntropyLoss(t(CLASSES)), SCORES, LABELS),
    "cross entropy, all settings": (
        lambda m, t: m.CrossEntropyLoss(
            t(CLASSES), ignore_index=2, reduction="none", label_smoothing=0.1
        ),
        SCORES,
        LABELS,
    ),
    "cross entropy, distribution": (
        lambda m, t: m.CrossEntropyLoss(t(CLASSES), label_smoothing=0.1),
        SCORES,
        PROBABILITIES,
    ),
    "nll": (lambda m, t: m.NLLLoss(), LOG_P, LABELS),
    "nll, all settings": (
        lambda m, t: m.NLLLoss(t(CLASSES), ignore_index=1, reduction="sum"),
        LOG_P,
        LABELS,
    ),
    "kl": (lambda m, t: m.KLDivLoss(reduction="batchmean"), LOG_P, PROBABILITIES),
    "kl, log": (lambda m, t: m.KLDivLoss(reduction="sum", log_target=True), LOG_P, LOG_P[::-1]),
    "bce": (lambda m, t: m.BCELoss(), PROBABILITIES, ANSWERS),
    "bce, all settings": (
        lambda m, t: m.BCELoss(t(CLASSES), reduction="none"),
        PROBABILITIES,
        ANSWERS,
    ),
    "bce logits": (lambda m, t: m.BCEWithLogitsLoss(), SCORES, ANSWERS),
    "bce logits, all settings": (
        lambda m, t: m.BCEWithLogitsLoss(t(CLASSES), reduction="sum", pos_weight=t(CLASSES[::-1])),
        SCORES,
        ANSWERS,
    ),
    "soft margin": (lambda m, t: m.SoftMarginLoss(), SCORES, 2 * ANSWERS - 1),
    "multi-label soft margin": (lambda m, t: m.MultiLabelSoftMarginLoss(), SCORES, ANSWERS),
    "multi-label soft margin, all settings": (
        lambda m, t: m.MultiLabelSoftMarginLoss(t(CLASSES), reduction="none"),
        SCORES,
        ANSWERS,
    ),
    "multi-label margin": (lambda m, t: m.MultiLabelMarginLoss(), SCORES, LISTS),
    "multi margin": (lambda m, t: m.MultiMarginLoss(), SCORES, LABELS),
    "multi margin, all settings": (
        lambda m, t: m.MultiMarginLoss(2, 0.7, t(CLASSES), reduction="sum"),
        SCORES,
        LABELS,
    ),
    "mse": (lambda m, t: m.MSELoss(), SCORES, OTHERS[0]),
    "mse, none": (lambda m, t: m.MSELoss(reduction="none"), SCORES, OTHERS[0]),
    "l1": (lambda m, t: m.L1Loss(reduction="sum"), SCORES, OTHERS[0]),
    "smooth l1": (lambda m, t: m.SmoothL1Loss(beta=0.3), SCORES, OTHERS[0]),
    "huber": (lambda m, t: m.HuberLoss("sum", 0.3), SCORES, OTHERS[0]),
    "poisson": (lambda m, t: m.PoissonNLLLoss(), SCORES, ANSWERS),
    "poisson, all settings": (
        lambda m, t: m.PoissonNLLLoss(False, True, eps=1e-3, reduction="none"),
        PROBABILITIES,
        LABELS[:, None] + ANSWERS,
    ),
    "gaussian": (lambda m, t: m.GaussianNLLLoss(), SCORES, OTHERS[0], PROBABILITIES),
    "gaussian, all settings": (
        lambda m, t: m.GaussianNLLLoss(full=True, eps=0.1, reduction="sum"),
        SCORES,
        OTHERS[0],
        PROBABILITIES[:, :1],
    ),
    "cosine embedding": (lambda m, t: m.CosineEmbeddingLoss(0.1), SCORES, OTHERS[0], SIGNS),
    "hinge embedding": (lambda m, t: m.HingeEmbeddingLoss(0.5), SCORES[:, 0], SIGNS),
    "ranking": (lambda m, t: m.MarginRankingLoss(0.5), SCORES[:, 0], OTHERS[0, :, 0], SIGNS),
    "triplet": (lambda m, t: m.TripletMarginLoss(), SCORES, OTHERS[0], OTHERS[1]),
    "triplet, all settings": (
        lambda m, t: m.TripletMarginLoss(2.0, 1.0, 1e-4, True, reduction="none"),
        SCORES,
        OTHERS[0],
        OTHERS[1],
    ),
    "triplet, distance": (
        lambda m, t: m.TripletMarginWithDistanceLoss(
            distance_function=lambda a, b: 1 - m.CosineSimilarity()(a, b), swap=True
        ),
        SCORES,
        OTHERS[0],
        OTHERS[1],
    ),
    "triplet, distance a module": (
        lambda m, t: m.TripletMarginWithDistanceLoss(margin=9.0),
        SCORES,
        OTHERS[0],
        OTHERS[1],
    ),
    "cosine similarity": (lambda m, t: m.CosineSimilarity(0, 1e-6), SCORES, OTHERS[0]),
    "distance": (lambda m, t: m.PairwiseDistance(1.0, 1e-3, True), SCORES, OTHERS[0]),
}


def tensors(arrays):
    ours, theirs = [], []
    for a in arrays:
        ours.append(cr.tensor(a))
        theirs.append(torch.tensor(np.ascontiguousarray(a)))
    ours[0].requires_grad_()
    theirs[0].requires_grad_()
    return ours, theirs


@pytest.mark.parametrize("case", LOSSES)
def test_value_gradient_state_and_printed_form(case):
    build, *arrays = LOSSES[case]
    loss = build(nn, cr.tensor)
    twin = build(torch.nn, lambda a: torch.tensor(a.copy()))
    ours, theirs = tensors(arrays)
    y, u = loss(*ours), twin(*theirs)
    assert y.shape == tuple(u.shape)
    y.sum().backward()
    u.sum().backward()
    np.testing.assert_allclose(y.detach().array, u.detach().numpy(), rtol=1e-11)
    np.testing.assert_allclose(ours[0].grad.array, theirs[0].grad.numpy(), rtol=1e-9, atol=1e-12)
    assert list(loss.state_dict()) == list(twin.state_dict())
    assert repr(loss) == repr(twin)
    known = {k: v for k, v in vars(loss).items() if not k.startswith("_") and k != "training"}
    for name, value in known.items():
        assert callable(value) or getattr(twin, name) == value


def both(ours, theirs, name):
    return inspect.signature(getattr(ours, name)), inspect.signature(getattr(theirs, name))


OURS_ALONE = {"MulticlassSVMLoss", "CrammerSingerLoss", "OneVsAllSVMLoss", "HingeLoss",
              "SquaredHingeLoss"}  # fmt: skip


def test_every_loss_module_has_a_line_above():
    tested = {type(build(nn, cr.tensor)).__name__ for build, *_ in LOSSES.values()}
    assert set(nn.loss.__dict__) >= tested
    names = {n for n in dir(nn) if n.endswith("Loss")} - OURS_ALONE
    assert names <= tested


@pytest.mark.parametrize("name", sorted({n for n in dir(nn) if n.endswith("Loss")} - OURS_ALONE))
def test_constructors_take_the_same_arguments(name):
    ours, theirs = both(nn, torch.nn, name)
    assert [(p.name, p.default, p.kind) for p in ours.parameters.values()] == [
        (p.name, p.default, p.kind) for p in theirs.parameters.values()
    ]


FUNCTIONS = [
    n for n in dir(torch.nn.functional)
    if hasattr(F, n)
    and (n.endswith(("_loss", "cross_entropy", "_logits")) or n in ("kl_div",))
]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_the_same_arguments(name):
    ours, theirs = both(F, torch.nn.functional, name)
    assert [(p.name, p.default, p.kind) for p in ours.parameters.values()] == [
        (p.name, p.default, p.kind) for p in theirs.parameters.values()
    ]


def test_there_are_functions_to_compare():
    assert len(FUNCTIONS) == 20


@pytest.mark.parametrize("size_average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
@pytest.mark.parametrize(
    ("name", "target"),
    [("mse_loss", OTHERS[0]), ("cross_entropy", LABELS), ("soft_margin_loss", 2 * ANSWERS - 1)],
)
def test_older_arguments_of_reduction(size_average, reduce, name, target):
    settings = {"size_average": size_average, "reduce": reduce, "reduction": "sum"}
    older = size_average is not None or reduce is not None
    with warnings.catch_warnings(record=True) as ours:
        warnings.simplefilter("always")
        loss = getattr(F, name)(cr.tensor(SCORES), cr.tensor(target), **settings)
    with warnings.catch_warnings(record=True) as theirs:
        warnings.simplefilter("always")
        twin = getattr(torch.nn.functional, name)(
            torch.tensor(SCORES), torch.tensor(target), **settings
        )
    np.testing.assert_allclose(loss, twin.numpy(), rtol=1e-12)
    assert [str(w.message) for w in ours] == [str(w.message) for w in theirs]
    assert bool(ours) == older


def test_older_arguments_of_a_module():
    with pytest.warns(UserWarning, match="reduction='none' instead"):
        loss = nn.MSELoss(reduce=False)
    assert loss.reduction == "none"
    assert loss(cr.ones(3), cr.zeros(3)).shape == (3,)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_a_target_that_broadcasts_is_warned_of(name):
    with pytest.warns(UserWarning, match=r"Using a target size \(3, 1\) .*input size \(3,\)"):
        loss = getattr(F, name)(cr.zeros(3), cr.ones(3, 1), reduction="none")
    assert loss.shape == (3, 3)


def test_mean_of_a_divergence_is_warned_of():
    with pytest.warns(UserWarning, match="'batchmean'"):
        F.kl_div(cr.tensor(LOG_P), cr.tensor(PROBABILITIES))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.kl_div(cr.tensor(LOG_P), cr.tensor(PROBABILITIES), reduction="batchmean")


# -- extreme values ----------------------------------------------------------------------------

EXTREME = np.array([0.0, 30.0, -30.0, 1e4, -1e4, 3e38, -3e38, np.inf, -np.inf])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # an infinity less itself
@pytest.mark.parametrize("target", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pos_weight", [None, 3.0])
def test_binary_cross_entropy_of_extreme_logits(target, dtype, pos_weight):
    x = EXTREME.astype(dtype)
    ours, theirs = tensors([x, np.full_like(x, target)])
    weights = [None, None]
    if pos_weight:
        weights = [cr.tensor(pos_weight, dtype=x.dtype), torch.tensor(pos_weight).to(theirs[0])]
    y = F.binary_cross_entropy_with_logits(*ours, reduction="none", pos_weight=weights[0])
    u = torch.nn.functional.binary_cross_entropy_with_logits(
        *theirs, reduction="none", pos_weight=weights[1]
    )
    y.sum().backward()
    u.sum().backward()
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(y.detach().array, u.detach().numpy(), rtol=tolerance)
    np.testing.assert_allclose(ours[0].grad.array, theirs[0].grad.numpy(), rtol=tolerance)


def test_binary_cross_entropy_of_certain_probabilities():
    p = np.array([0.0, 1.0, 0.0, 1.0, 1e-50, 0.5])
    t = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.5])
    ours, theirs = tensors([p, t])
    y = F.binary_cross_entropy(*ours, reduction="none")
    u = torch.nn.functional.binary_cross_entropy(*theirs, reduction="none")
    y.sum().backward()
    u.sum().backward()
    np.testing.assert_allclose(y.detach().array, u.detach().numpy(), rtol=1e-14)
    # PyTorch's 10⁻¹² in the divisor is a float32
    np.testing.assert_allclose(ours[0].grad.array, theirs[0].grad.numpy(), rtol=1e-8)


@pytest.mark.parametrize(
    "name", ["cross_entropy", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"]
)
def test_extreme_errors_and_scores(name):
    x = np.stack([EXTREME[:7], EXTREME[6::-1]])
    target = np.array([3, 0]) if name == "cross_entropy" else np.zeros_like(x)
    ours, theirs = tensors([x, target])
    y = getattr(F, name)(*ours, reduction="none")
    u = getattr(torch.nn.functional, name)(*theirs, reduction="none")
    y.sum().backward()
    u.sum().backward()
    np.testing.assert_allclose(y.detach().array, u.detach().numpy(), rtol=1e-14)
    np.testing.assert_allclose(ours[0].grad.array, theirs[0].grad.numpy(), rtol=1e-14)


def test_soft_margin_stays_finite_where_its_exponential_does_not():
    x = cr.tensor([-1e4, 1e4], dtype=cr.float32).requires_grad_()
    loss = F.soft_margin_loss(x, cr.ones(2), reduction="none")
    assert loss.tolist() == [1e4, 0]
    loss.sum().backward()
    assert x.grad.tolist() == [-1, 0]


def test_what_is_below_a_floor_still_gets_its_gradient():
    var = np.array([0.0, 1e-9, 0.5])
    ours, theirs = tensors([var, np.zeros(3), np.ones(3)])
    F.gaussian_nll_loss(ours[1], ours[2], ours[0], reduction="sum").backward()
    torch.nn.functional.gaussian_nll_loss(
        theirs[1], theirs[2], theirs[0], reduction="sum"
    ).backward()
    np.testing.assert_allclose(ours[0].grad.array, theirs[0].grad.numpy(), rtol=1e-12)
    rows = np.array([[0.0, 0.0], [3e-10, 4e-10], [3.0, 4.0]])
    ours, theirs = tensors([rows, np.array([[1.0, 2.0]] * 3)])
    y, u = F.cosine_similarity(*ours), torch.nn.functional.cosine_similarity(*theirs)
    y.sum().backward()
    u.sum().backward()
    np.testing.assert_allclose(y.detach().array, u.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours[0].grad.array, theirs[0].grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["cross_entropy", "mse_loss", "binary_cross_entropy_with_logits"])
def test_float16_is_added_up_in_float32(name):
    """A hundred thousand small terms: their sum exceeds float16, the mean's 1/n its digits."""
    x = np.full((1 << 17, 2), 3.0, np.float16)
    target = np.zeros(len(x), int) if name == "cross_entropy" else np.zeros_like(x)
    ours, _ = tensors([x, target])
    exact, _ = tensors([x.astype(float), target])
    y, e = getattr(F, name)(*ours), getattr(F, name)(*exact)
    (y * 1024).backward()
    (e * 1024).backward()
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.item(), e.item(), rtol=1e-3)
    np.testing.assert_allclose(ours[0].grad.array, exact[0].grad.array, rtol=1e-3)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # 0/0
@pytest.mark.parametrize("shape", [(0, 4), (2, 4, 0)])
def test_mean_of_nothing_is_nan(shape):
    scores, target = np.zeros(shape), np.zeros((shape[0], *shape[2:]), int)
    numbers = ("mse_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits", "cross_entropy")
    for name, arrays in [
        ("cross_entropy", (scores, target)), ("nll_loss", (scores, target)),
        *((name, (scores, scores)) for name in numbers),
    ]:  # fmt: skip
        ours, theirs = tensors(arrays)
        assert np.isnan(getattr(F, name)(*ours).item())
        assert np.isnan(getattr(torch.nn.functional, name)(*theirs).item())


def test_gradients_at_ties_are_pytorchs():
    x, y = np.array([1.0, 2.0]), np.array([1.0, -1.0])
    for name, arrays in {
        "margin_ranking_loss": (x, x.copy(), y),
        "hinge_embedding_loss": (x, np.array([-1.0, -1.0])),
        "multilabel_margin_loss": (x, np.array([1, -1])),
        "l1_loss": (x, x.copy()),
    }.items():
        ours, theirs = tensors(arrays)
        getattr(F, name)(*ours, reduction="sum").backward()
        getattr(torch.nn.functional, name)(*theirs, reduction="sum").backward()
        np.testing.assert_array_equal(ours[0].grad.array, theirs[0].grad.numpy(), err_msg=name)
