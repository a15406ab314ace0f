"""Features of images against their definitions in loops, libraries, and what must hold of them."""

from __future__ import annotations

import colorsys
import math
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: chainrule[classic]")

import sklearn.decomposition
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from chainrule import models, nn, no_grad
from chainrule.classifiers import (
    HOG,
    PCA,
    BagOfVisualWords,
    ColorHistogram,
    EdgeFeatures,
    FeatureExtractor,
    RandomFeatures,
    TextureFeatures,
    image_rows,
)
from chainrule.classifiers.features.color import hsv
from chainrule.data import load
from chainrule.errors import ConfigError
from chainrule.tensor import Tensor

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (5, 3 * 24 * 24)).astype(np.uint8)
SMALL = {  # every transformer, quick enough to try on everything
    "HOG": HOG(cell_size=4),
    "ColorHistogram": ColorHistogram(grid=2),
    "EdgeFeatures": EdgeFeatures(),
    "TextureFeatures": TextureFeatures((3.0,)),
    "BagOfVisualWords": BagOfVisualWords(7, n_patches=500, random_state=0),
    "FeatureExtractor": FeatureExtractor(random_state=0),
    "PCA": PCA(3),
    "RandomFeatures": RandomFeatures(11, random_state=0),
}
of_images = pytest.mark.parametrize(
    "features", [f for name, f in SMALL.items() if name not in ("PCA", "RandomFeatures")], ids=str
)
of_anything = pytest.mark.parametrize("features", SMALL.values(), ids=SMALL)


# -- all of them -----------------------------------------------------------------------------


@of_anything
def test_types_names_and_pickles(features):
    made = features.fit_transform(COLOUR)
    assert made.dtype == np.float32 and np.isfinite(made).all()
    names = features.get_feature_names_out()
    assert len(set(names)) == len(names) == made.shape[1]
    again = pickle.loads(pickle.dumps(features)).transform(COLOUR)
    np.testing.assert_array_equal(again, made)
    wide = features.fit_transform(COLOUR / 255).dtype
    assert wide == (np.float32 if isinstance(features, FeatureExtractor) else np.float64)


@of_images
def test_bytes_and_floats_are_the_same_picture(features):
    made = features.fit_transform(COLOUR)
    as_floats = features.fit_transform((COLOUR / 255).astype(np.float32))
    np.testing.assert_allclose(as_floats, made, rtol=2e-3, atol=2e-5)
    wide = features.set_params(pixel_range=255).fit_transform(COLOUR.astype(np.float32))
    features.set_params(pixel_range="auto")
    np.testing.assert_array_equal(wide, made)


@of_images
def test_work_in_blocks_changes_nothing(features, monkeypatch):
    from chainrule.classifiers.features import image_transformer

    many = np.concatenate([COLOUR, COLOUR[::-1], COLOUR])
    whole = features.fit_transform(many)
    monkeypatch.setattr(image_transformer, "BLOCK_VALUES", 1)
    np.testing.assert_allclose(features.transform(many), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")  # a pixel has no contrast
@of_images
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 1), (1, 1, 7), (1, 9, 2), (3, 5, 8)])
def test_pictures_of_any_size(features, shape):
    X = RNG.random((4, math.prod(shape)))
    try:
        made = features.set_params(image_shape=shape).fit(X).transform(X)
    finally:
        features.set_params(image_shape="auto")
    assert made.shape == (4, len(features.get_feature_names_out())) and np.isfinite(made).all()


@of_images
def test_settings_that_cannot_be(features):
    wrong = {"pixel_range": 0, "image_shape": (1, 2)}
    named = {
        "orientations": 0, "cell_size": 0, "block_size": 0, "normalization": "l3", "bins": 0,
        "grid": 0, "channels": "rgb", "operator": "canny", "wavelengths": (1.0,), "n_words": 0,
        "assignment": "soft", "patch_size": 0, "stride": 0, "pool": "min", "batch_size": 0,
        "mean": (1.0,), "std": (1.0, 2.0), "model": "lenet", "layer": "fc9",
    }  # fmt: skip
    wrong |= {k: v for k, v in named.items() if k in features.get_params()}
    for name, value in wrong.items():
        broken = type(features)(**{name: value})
        with pytest.raises(ConfigError, match=rf"^{type(features).__name__}: .*"):
            broken.fit(COLOUR)


# -- HOG -------------------------------------------------------------------------------------


def hog_by_loops(image, orientations, cell, block, signed, interpolate):
    """The docstring of HOG, pixel by pixel; image (C, H, W)."""
    _, height, width = image.shape
    rows, columns = height // cell, width // cell
    turn = 360 if signed else 180
    cells = np.zeros((rows, columns, orientations))
    for y in range(height):
        for x in range(width):
            steps = [
                (c[y, min(x + 1, width - 1)] - c[y, max(x - 1, 0)],
                 c[min(y + 1, height - 1), x] - c[max(y - 1, 0), x])
                for c in image
            ]  # fmt: skip
            gx, gy = max(steps, key=lambda g: g[0] ** 2 + g[1] ** 2)
            angle = math.degrees(math.atan2(gy, gx)) % turn
            for k in range(orientations):
                off = abs(angle - (k + 0.5) * turn / orientations)
                off = min(off, turn - off) * orientations / turn
                for i in range(rows):
                    for j in range(columns):
                        if interpolate:
                            share = max(0, 1 - abs((y + 0.5) / cell - (i + 0.5)))
                            share *= max(0, 1 - abs((x + 0.5) / cell - (j + 0.5)))
                        else:
                            share = float(y // cell == i and x // cell == j)
                        vote = math.hypot(gx, gy) * max(0, 1 - off) * share
                        cells[i, j, k] += vote
    found = []
    for i in range(rows - block + 1):
        for j in range(columns - block + 1):
            v = cells[i : i + block, j : j + block].ravel()
            v = np.minimum(v / math.sqrt(v @ v + 1e-10), 0.2)
            found.append(v / math.sqrt(v @ v + 1e-10))
    return np.concatenate(found)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize("shape", [(3, 12, 12), (1, 9, 14)])
def test_hog_is_what_its_docstring_says(shape, signed, interpolate):
    image = RNG.random(shape)
    hog = HOG(5, 4, 2, signed=signed, interpolate=interpolate, image_shape=shape)
    (found,) = hog.fit_transform(image.reshape(1, -1))
    expected = hog_by_loops(image, 5, 4, 2, signed, interpolate)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_hog_of_a_ramp_votes_for_its_direction():
    y, x = np.mgrid[:16, :16] / 40
    for degrees in (10, 90, 130, 175):
        angle = math.radians(degrees)
        ramp = (x * math.cos(angle) + y * math.sin(angle)).reshape(1, -1)
        (found,) = HOG(18, 16, 1, normalization="l1").fit_transform(ramp)
        assert abs((found.argmax() + 0.5) * 10 - degrees) <= 5
        np.testing.assert_allclose(found.sum(), 1, rtol=1e-3)


def test_hog_normalizations():
    X = COLOUR / 255
    blocks = lambda kind: HOG(normalization=kind).fit_transform(X).reshape(5, 4, -1)  # noqa: E731
    np.testing.assert_allclose(np.linalg.norm(blocks("l2"), axis=2), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(blocks("l2-hys"), axis=2), 1, rtol=1e-6)
    np.testing.assert_allclose(blocks("l1").sum(axis=2), 1, rtol=1e-4)
    np.testing.assert_allclose((blocks("l1-sqrt") ** 2).sum(axis=2), 1, rtol=1e-4)
    plain = HOG(normalization=None).fit_transform(X)
    assert plain.shape == (5, 3 * 3 * 9)  # cells, each once
    np.testing.assert_allclose(HOG(normalization=None).fit_transform(2 * X), 2 * plain)
    assert not HOG().fit_transform(np.full((1, 256), 0.5)).any()  # flat


# -- colours ---------------------------------------------------------------------------------


def test_hsv_is_colorsys():
    colours = RNG.integers(0, 4, (200, 3)) / 3  # with ties, greys, black and white
    planes = np.stack([plane.ravel() for plane in hsv(colours[:, :, None, None])], axis=1)
    np.testing.assert_allclose(planes, [colorsys.rgb_to_hsv(*c) for c in colours], atol=1e-12)


def test_color_histograms_count_pixels():
    (found,) = ColorHistogram(4, grid=2).fit_transform(COLOUR[:1])
    pixels = COLOUR[0].reshape(3, 24, 24) / 255
    expected = np.zeros((2, 2, 3, 4))
    for y in range(24):
        for x in range(24):
            for i, value in enumerate(colorsys.rgb_to_hsv(*pixels[:, y, x])):
                expected[y // 12, x // 12, i, min(int(value * 4), 3)] += 1 / 144
    np.testing.assert_allclose(found, expected.ravel(), atol=1e-6)


def test_color_histogram_of_one_colour():
    blue = np.zeros((1, 3, 4, 4), np.uint8)
    blue[:, 2] = 255
    histogram = ColorHistogram(6, channels="hv").fit(blue.reshape(1, -1))
    (found,) = histogram.transform(blue.reshape(1, -1))
    assert found.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    names = histogram.get_feature_names_out()
    assert names[4] == "hue_cell0_0_0.667to0.833" and names[11] == "value_cell0_0_0.833to1"
    with pytest.raises(ConfigError, match="grey or in colour, got 2 channels"):
        ColorHistogram(image_shape=(2, 4, 6)).fit(blue.reshape(1, -1))


# -- filters ---------------------------------------------------------------------------------


def test_edges_of_a_ramp_are_its_slope():
    y, x = np.mgrid[:12, :12]
    ramp = ((3 * x + 4 * y) / 100).reshape(1, -1)
    edges = EdgeFeatures(grid=3).fit(ramp)
    found = edges.transform(ramp).reshape(3, 3, 3)
    np.testing.assert_allclose(found[:, 1, 1], [0.05, 0.03, 0.04], rtol=1e-6)  # far from borders
    assert edges.get_feature_names_out()[13] == "sobel_x_cell1_1"


@pytest.mark.parametrize("operator", ["sobel", "prewitt", "scharr"])
def test_edges_lie_where_they_are(operator):
    image = np.zeros((1, 16, 16))
    image[:, :, 12:] = 1
    found = EdgeFeatures(operator, grid=2).fit_transform(image.reshape(1, -1)).reshape(3, 2, 2)
    np.testing.assert_allclose(found[0], [[0, 1 / 8], [0, 1 / 8]], atol=1e-7)
    np.testing.assert_allclose(found[0], found[1])
    np.testing.assert_allclose(found[2], 0, atol=1e-7)


def test_texture_finds_the_stripes():
    y, x = np.mgrid[:48, :48]
    for k in range(4):
        along = x * math.cos(k * math.pi / 4) + y * math.sin(k * math.pi / 4)
        stripes = 0.5 + 0.5 * np.cos(2 * math.pi * along / 6)
        texture = TextureFeatures((3.0, 6.0, 12.0), grid=3).fit(stripes.reshape(1, -1))
        found = texture.transform(stripes.reshape(1, -1)).reshape(3, 2, 4, 3, 3)
        assert np.unravel_index(found[:, 0, :, 1, 1].argmax(), (3, 4)) == (1, k)
        np.testing.assert_allclose(found[1, 0, k, 1, 1], 0.5, rtol=0.1)  # the amplitude
        name = texture.get_feature_names_out()[
            np.ravel_multi_index((1, 0, k, 1, 1), (3, 2, 4, 3, 3))
        ]
        assert name == f"gabor_6px_{45 * k}deg_mean_cell1_1"


# -- principal components --------------------------------------------------------------------


@pytest.mark.parametrize("n", [200, 8])  # more and fewer rows than columns
@pytest.mark.parametrize("whiten", [False, True])
def test_pca_is_scikit_learns(n, whiten):
    X = RNG.normal(size=(n, 12)) @ RNG.normal(size=(12, 12)) + 3
    ours = PCA(4, whiten=whiten, epsilon=0).fit(X)
    theirs = sklearn.decomposition.PCA(4, whiten=whiten, svd_solver="full").fit(X)
    signs = np.sign((ours.components_ * theirs.components_).sum(axis=1))
    np.testing.assert_allclose(ours.components_, signs[:, None] * theirs.components_, atol=1e-9)
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X) * signs, atol=1e-8)
    np.testing.assert_allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_)
    back = theirs.inverse_transform(theirs.transform(X))
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), back, atol=1e-8)


def test_whitening_by_hand():
    X = RNG.normal(size=(300, 6)) @ RNG.normal(size=(6, 6))
    zca = PCA(whiten="zca", epsilon=0.1).fit(X)
    covariance = np.cov(X.T)
    variances, U = np.linalg.eigh(covariance)
    expected = (X - X.mean(axis=0)) @ U / np.sqrt(variances + 0.1) @ U.T
    np.testing.assert_allclose(zca.transform(X), expected, atol=1e-9)
    np.testing.assert_allclose(zca.inverse_transform(zca.transform(X)), X, atol=1e-9)
    white = PCA(whiten=True, epsilon=0).fit_transform(X)
    np.testing.assert_allclose(np.cov(white.T), np.eye(6), atol=1e-9)


def test_pca_of_bytes_is_that_of_floats(monkeypatch):
    from chainrule.classifiers.features import pca

    X = RNG.integers(0, 256, (100, 20)).astype(np.uint8)
    exact = PCA(whiten=True).fit(X.astype(np.float64))
    monkeypatch.setattr(pca, "BLOCK_VALUES", 140)  # seven rows at a time
    of_bytes = PCA(whiten=True).fit(X)
    np.testing.assert_allclose(of_bytes.explained_variance_, exact.explained_variance_, rtol=1e-6)
    np.testing.assert_allclose(of_bytes.transform(X), exact.transform(X * 1.0), atol=1e-4)


def test_pca_keeps_what_is_asked_for():
    X = RNG.normal(size=(50, 4)) * [10, 5, 1, 0.1]
    assert PCA(0.9).fit(X).components_.shape == (2, 4)
    assert PCA().fit(X).components_.shape == (4, 4)
    assert PCA(2, whiten="zca").fit_transform(X).shape == (50, 4)
    for wrong in (0, 5, 1.5, -0.5):
        with pytest.raises(ConfigError, match="n_components must be a share"):
            PCA(wrong).fit(X)
    with pytest.raises(ConfigError, match="whiten must be"):
        PCA(whiten="pca").fit(X)
    with pytest.raises(ConfigError, match="epsilon must not be negative"):
        PCA(epsilon=-1).fit(X)
    with pytest.raises(ValueError, match="X has 3 features, expected 2"):
        PCA(2).fit(X).inverse_transform(X[:, :3])


def test_pca_of_what_never_varies():
    constant = np.full((6, 3), 7.0)
    for epsilon in (0, 1e-5):
        found = PCA(whiten=True, epsilon=epsilon).fit_transform(constant)
        np.testing.assert_array_equal(found, 0)


# -- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize("assignment", ["hard", "triangle"])
def test_words_by_loops(assignment):
    X = RNG.random((3, 100))
    bag = BagOfVisualWords(
        5, patch_size=3, stride=2, grid=2, assignment=assignment, n_patches=60, random_state=1
    ).fit(X)
    expected = np.zeros((3, 2, 2, 5))
    for n, image in enumerate(X.reshape(3, 10, 10)):
        for i in range(4):
            for j in range(4):
                p = image[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].ravel()
                p = (p - p.mean()) / math.sqrt(p.var() + 10 / 255**2)
                x = bag.whitening_.transform(p[None])[0]
                d = np.linalg.norm(x - bag.words_, axis=1)
                hard = (np.arange(5) == d.argmin()).astype(float)
                found = hard if assignment == "hard" else np.maximum(0, d.mean() - d)
                expected[n, i // 2, j // 2] += found / 4
    np.testing.assert_allclose(bag.transform(X), expected.reshape(3, -1), rtol=1e-6, atol=1e-9)


def test_words_tell_textures_apart():
    y, x = np.mgrid[:20, :20]
    phase = RNG.random((40, 1, 1)) * 6
    stripes = np.concatenate([np.sin(x + phase[:20]), np.sin(y + phase[20:])])
    X = (stripes + RNG.normal(size=stripes.shape) * 0.3).reshape(40, -1)
    bag = BagOfVisualWords(8, grid=1, n_patches=2000, random_state=0)
    labels = np.repeat([0, 1], 20)
    model = make_pipeline(bag, LogisticRegression(C=100)).fit(X[::2], labels[::2])
    assert model.score(X[1::2], labels[1::2]) == 1


def test_a_vocabulary_is_drawn_by_its_seed():
    bags = [BagOfVisualWords(4, n_patches=100, random_state=s).fit(COLOUR) for s in (0, 0, 1)]
    np.testing.assert_array_equal(bags[0].words_, bags[1].words_)
    assert not np.array_equal(bags[0].words_, bags[2].words_)


# -- random features -------------------------------------------------------------------------


def test_fourier_features_are_rbf_sampler():
    X = RNG.normal(size=(30, 5))
    for gamma in (0.7, "scale"):
        theirs = RBFSampler(gamma=gamma, n_components=50, random_state=3).fit_transform(X)
        ours = RandomFeatures(50, gamma=gamma, random_state=3).fit_transform(X)
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    with pytest.raises(ValueError, match="gamma"):
        RandomFeatures(gamma=-1.0).fit(X)


def test_random_features_approach_their_kernels():
    X = RNG.normal(size=(8, 5))
    z = RandomFeatures(100_000, gamma=0.3, random_state=0).fit_transform(X)
    squares = ((X[:, None] - X) ** 2).sum(axis=2)
    np.testing.assert_allclose(z @ z.T, np.exp(-0.3 * squares), atol=0.02)
    z = RandomFeatures(100_000, kind="relu", random_state=0).fit_transform(X)
    lengths = np.linalg.norm(X, axis=1)
    product = np.outer(lengths, lengths)
    angle = np.arccos(np.clip(X @ X.T / product, -1, 1))
    kernel = product / math.pi * (np.sin(angle) + (math.pi - angle) * np.cos(angle))
    np.testing.assert_allclose(z @ z.T / product, kernel / product, atol=0.03)
    for wrong in ({"kind": "tanh"}, {"n_components": 0}):
        with pytest.raises(ConfigError, match="RandomFeatures: "):
            RandomFeatures(**wrong).fit(X)


# -- networks --------------------------------------------------------------------------------


def test_features_of_every_layer():
    net = models.create("lenet5", weights="mnist").eval()
    X = RNG.random((6, 28 * 28)).astype(np.float32)
    seen, handles = {}, []
    for layer, module in net.named_modules():
        look = lambda _, given, made, layer=layer: seen.update({layer: made.numpy()})  # noqa: E731
        handles.append(module.register_forward_hook(look))
    with no_grad():
        net(Tensor(X.reshape(6, 1, 28, 28)))
    for handle in handles:
        handle.remove()
    assert len(seen) > 5
    for layer, made in seen.items():
        extractor = FeatureExtractor(net, layer, batch_size=4).fit(X)
        expected = made.reshape(6, -1)
        np.testing.assert_allclose(extractor.transform(X), expected, rtol=1e-4, atol=1e-4)
        assert extractor.get_feature_names_out()[0].startswith(f"{layer or 'network'}_0")


def test_a_layer_that_is_overwritten_later():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8, 2))
    X = RNG.random((4, 16)).astype(np.float32)
    with no_grad():
        made = net[0](Tensor(X.reshape(4, 1, 4, 4))).numpy().reshape(4, -1)
    assert made.min() < 0
    np.testing.assert_allclose(FeatureExtractor(net, "0").fit_transform(X), made, rtol=1e-5)


def test_features_before_the_head_by_default():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    )
    net.train()
    X = RNG.integers(0, 256, (5, 48)).astype(np.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    extractor = FeatureExtractor(net, mean=mean, std=std).fit(X)
    assert extractor.layer_ == "4" and net.training and not extractor.model_.training
    images = (X.reshape(5, 3, 4, 4) / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(
        std, (3, 1, 1)
    )
    net.eval().requires_grad_(False)
    hidden = net[:4](Tensor(images.astype(np.float32))).numpy()
    np.testing.assert_allclose(extractor.transform(X), hidden, rtol=1e-4, atol=1e-5)
    maps = net[:2](Tensor(images.astype(np.float32))).numpy()
    for pool, reduced in (("average", maps.mean((2, 3))), ("max", maps.max((2, 3)))):
        pooled = FeatureExtractor(net, "1", pool=pool, mean=mean, std=std).fit(X)
        np.testing.assert_allclose(pooled.transform(X), reduced, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="no layer with weights"):
        FeatureExtractor(nn.Sequential(nn.ReLU())).fit(X)


def test_the_network_is_copied():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    X = RNG.random((3, 4)).astype(np.float32)
    extractor = FeatureExtractor(net, "1").fit(X)
    before = extractor.transform(X)
    net[1].weight.data.zero_()
    np.testing.assert_array_equal(extractor.transform(X), before)


# -- together --------------------------------------------------------------------------------


def test_features_in_pipelines_and_searches():
    digits = load("digits")
    X, labels = image_rows(digits.train)[:300], digits.train.labels[:300]
    union = make_union(
        HOG(cell_size=4), make_pipeline(PCA(10, whiten=True), RandomFeatures(40, random_state=0))
    )
    model = make_pipeline(union, StandardScaler(), LogisticRegression(max_iter=200))
    search = GridSearchCV(model, {"featureunion__hog__orientations": [6, 9]}, cv=3).fit(X, labels)
    assert search.best_score_ > 0.8
    names = search.best_estimator_[:-1].get_feature_names_out()
    assert names[0].startswith("hog__hog_block0_0_cell0_0_") and names[-1] == (
        "pipeline__randomfeatures39"
    )
