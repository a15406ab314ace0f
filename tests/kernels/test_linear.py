"""Products too large for the naive tier: every way an operand can lie, on every instruction set."""

from collections.abc import Iterator

import numpy as np
import pytest

from chainrule import kernels, threads

try:
    from chainrule.kernels import native

    INSTRUCTION_SETS = native.instruction_sets()
except ImportError:
    INSTRUCTION_SETS = []

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="the native kernels were not built")

SIZES = [  # N, I, O
    (1, 3000, 99),  # a batch of one
    (2, 17, 1030),
    (37, 129, 70),
    (130, 2100, 45),  # several slices of the depth
    (65, 900, 330),  # several strips of columns
    (40, 1024, 144),  # rows 4 KB apart
    (1024, 40, 272),
]


@pytest.fixture(params=INSTRUCTION_SETS)
def instruction_set(request) -> Iterator[str]:
    before = native.instruction_set()
    native.choose_instruction_set(request.param)
    yield request.param
    native.choose_instruction_set(before)


@pytest.fixture
def restore_threads() -> Iterator[None]:
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def operands(n: int, i: int, o: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + i + o)
    x, weight, bias = (rng.normal(size=s).astype(np.float32) for s in ((n, i), (o, i), (o,)))
    return x, weight, bias


def lying(x: np.ndarray, order: str) -> np.ndarray:
    """The same matrix with contiguous rows ("C") or columns ("F")."""
    return np.asarray(x, order=order)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("orders", ["CC", "CF", "FC", "FF"])
def test_product_is_within_rounding_of_the_exact_one(instruction_set, size, orders):
    x, weight, bias = operands(*size)
    exact = x.astype(float) @ weight.T.astype(float) + bias
    # Higham 2002, Accuracy and Stability of Numerical Algorithms, §3.5: any order of summation.
    bound = (size[1] + 1) * 2.0**-24 * (np.abs(x) @ np.abs(weight.T) + np.abs(bias))
    y = kernels.linear(lying(x, orders[0]), lying(weight, orders[1]), bias)
    assert (np.abs(y - exact) <= bound).all()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("orders", ["CC", "CF", "FC"])
def test_same_bits_for_any_number_of_threads(instruction_set, restore_threads, size, orders):
    x, weight, bias = operands(*size)
    answers = []
    for count in (1, 2, 3):
        threads.set_num_threads(count)
        answers.append(kernels.linear(lying(x, orders[0]), lying(weight, orders[1]), bias))
    assert answers[0].tobytes() == answers[1].tobytes() == answers[2].tobytes()


@pytest.mark.parametrize("orders", ["CC", "CF"])
@pytest.mark.parametrize("size", [(9, 40, 21), (65, 900, 33)], ids=str)
def test_relu_in_the_product_gives_the_bits_of_relu_after_it(instruction_set, size, orders):
    x, weight, bias = operands(*size)
    x[1, 3] = np.nan
    x, weight = lying(x, orders[0]), lying(weight, orders[1])
    fused = kernels.linear(x, weight, bias, True)
    assert fused.tobytes() == kernels.relu(kernels.linear(x, weight, bias)).tobytes()
    assert np.isnan(fused[1]).all()


@pytest.mark.parametrize("orders", ["CC", "CF"])
def test_what_lies_around_an_operand_stays_out_of_the_sum(instruction_set, orders):
    """Vectors that overlap an edge must drop what is not theirs, infinities too."""
    around = np.full((40, 100), np.inf, np.float32)
    around[3:20, 5:28] = 1
    x = around[3:20, 5:28]
    weight = lying(np.ones((6, 23), np.float32), orders[1])
    assert (kernels.linear(x, weight, None) == 23).all()
    assert (kernels.linear(weight, x, None) == 23).all()
