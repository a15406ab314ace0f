"""The same bits for any number of threads, alone or beside other users of the kernels."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from chainrule import kernels, threads

GEOMETRY = ((1, 1), (1, 1), (1, 1), 1)


@pytest.fixture
def restore_threads():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


UPDATES = [  # kernel, arrays of a parameter, settings
    ("momentum_step", 3, (0.1, 0.9, 0.1, True, False)),
    ("moments_step", 4, (0.1, 0.2, 0.9, 0.99, 1e-8, 0.1, 0.9, True, False)),
    ("adamax_step", 4, (0.1, 0.9, 0.99, 1e-8, 0.1, False)),
    ("adagrad_step", 3, (0.1, 1e-8, 0.1, False)),
    ("rmsprop_step", 5, (0.1, 0.9, 1e-8, 0.9, 0.1, False)),
    ("adadelta_step", 4, (0.1, 0.9, 1e-6, 0.1, False)),
    ("asgd_step", 3, (0.1, 0.9, 0.5, 0.1, False)),
    ("rprop_step", 4, (0.5, 1.2, 1e-6, 50.0, False)),
]


def training_step() -> list[np.ndarray]:
    """Something of every kernel family, large enough to be cut into many tasks."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 8, 20, 20)).astype(np.float32)
    weight = rng.normal(size=(24, 8, 3, 3)).astype(np.float32)
    y = kernels.conv2d(x, weight, None, *GEOMETRY)
    mean, var = kernels.moments(y)
    normed = kernels.normalise(y, mean, var, None, None, 1e-5)
    active = kernels.relu(normed)
    pooled, index = kernels.max_pool2d(active, (2, 2), (2, 2), (0, 0), (1, 1), False)
    g = kernels.max_pool2d_backward(pooled, index, active.shape, (2, 2), (2, 2), (0, 0), (1, 1))
    g = kernels.relu_backward(g, active)
    g, dweight, dbias = kernels.batch_norm_backward(g, y, None, mean, var, 1e-5)
    first = np.ascontiguousarray(y)  # channels-first
    mean_first, var_first = kernels.moments(first)
    channels_first = [
        mean_first,
        var_first,
        kernels.normalise(first, mean, var, None, None, 1e-5),
        *kernels.batch_norm_backward(first, first, None, mean_first, var_first, 1e-5),
    ]
    grouped, *moments = kernels.group_norm(y, 4, None, None, 1e-5)
    layered, *row_moments = kernels.layer_norm(y.reshape(-1, 400), None, None, 1e-5)
    scaled, squares = kernels.rms_norm(y.reshape(-1, 400), None, 1e-5)
    bends = rng.normal(size=y.shape[1]).astype(np.float32)
    norms = [
        grouped,
        layered,
        *kernels.group_norm_backward(g, y, None, *moments, 1e-5),
        *kernels.layer_norm_backward(g.reshape(-1, 400), layered, None, *row_moments, 1e-5),
        scaled,
        *kernels.rms_norm_backward(g.reshape(-1, 400), scaled, None, squares, 1e-5),
        *kernels.batch_norm_relu_backward(g, y, None, None, mean, var, 1e-5),
        *kernels.relu_bias_backward(g, y),
        *kernels.prelu_backward(g, y, bends),
    ]
    dw = kernels.conv2d_weight_grad(g, x, weight.shape, *GEOMETRY)
    dx = kernels.conv2d_input_grad(g, weight, x.shape, *GEOMETRY)
    rows = pooled.reshape(len(pooled), -1)
    scores = kernels.linear(rows, rng.normal(size=(50, rows.shape[1])).astype(np.float32), None)
    grouped = []
    for groups in (2, 8):  # few channels in each, one in each
        few = weight[:, : 8 // groups]
        z = kernels.conv2d(x, few, None, *GEOMETRY[:3], groups)
        grouped += [
            z,
            kernels.conv2d_input_grad(z, few, x.shape, *GEOMETRY[:3], groups),
            kernels.conv2d_weight_grad(z, x, few.shape, *GEOMETRY[:3], groups),
        ]
    state = [rng.random((300, 300)).astype(np.float32) for _ in range(8)]
    kernels.sgd_step(state[0:1], state[1:2], state[2:3], 0.1, 0.9, 0.0, 0.1, False, False)
    adam = (1, 0.1, 0.9, 0.99, 1e-8, 0.1, True, False)
    kernels.adam_step(state[3:4], state[4:5], state[5:6], state[6:7], state[7:8], *adam)
    for name, arrays, settings in UPDATES:
        lists = [[rng.random((300, 300), np.float32)] for _ in range(arrays)]
        getattr(kernels, name)(*lists, *settings)
        state += [array for (array,) in lists]
    means = kernels.avg_pool2d(y, (3, 3), (2, 2), (1, 1), False, True)
    spread = kernels.avg_pool2d_backward(means, y.shape, (3, 3), (2, 2), (1, 1), False, True)
    other = rng.normal(size=y.shape).astype(np.float32)
    points = rng.uniform(-1.2, 1.2, (len(y), 900, 2)).astype(np.float32)
    settings = (False, 1, 0)
    read = kernels.sample_images(y, points, *settings)
    starts = np.arange(81) * 2
    between = (starts, rng.integers(0, 20, 160), rng.normal(size=160).astype(np.float32))
    film = rng.normal(size=(2, 5, 7, 40, 40)).astype(np.float32)
    frames = kernels.gather_frames(film, 3, 2, 1, 1, 1)
    return [
        read,
        kernels.sample_images_input_grad(read, points, y.shape, *settings),
        kernels.sample_images_place_grad(read, y, points, *settings),
        kernels.resample(y, 2, *between),
        kernels.resample(y, 3, *between),
        frames,
        kernels.add_frames(frames, film.shape, 3, 2, 1, 1, 1),
        kernels.huber_sum(y, other, 0.7),
        kernels.huber_sum_backward(y, other, 0.7, 0.5),
        *grouped,
        *state,
        *norms,
        *channels_first,
        means,
        spread,
        scores,
        y,
        normed,
        mean,
        var,
        pooled,
        index,
        g,
        dweight,
        dbias,
        dw,
        dx,
    ]


def same_bits(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def test_same_bits_for_any_number_of_threads(restore_threads):
    answers = []
    for count in (1, 2, 3):
        threads.set_num_threads(count)
        answers.append(training_step())
    assert same_bits(answers[0], answers[1])
    assert same_bits(answers[0], answers[2])


def test_same_bits_from_concurrent_callers():
    alone = training_step()
    with ThreadPoolExecutor(3) as callers:
        futures = [callers.submit(training_step) for _ in range(6)]
        assert all(same_bits(alone, future.result()) for future in futures)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_compute():
    x = np.ones(1 << 18, np.float32)
    kernels.relu(x)
    child = os.fork()
    if child == 0:
        # A hang here would be the parent's locks or threads that do not exist any more.
        os._exit(0 if kernels.relu(-x).sum() == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
