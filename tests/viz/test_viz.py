"""The pictures of classifiers: what is measured for them, and what is drawn."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from chainrule import viz
from chainrule.errors import ConfigError, MissingExtraError, ShapeError
from chainrule.viz.dimensions import accuracy_with_noise, edge_of_a_cube
from chainrule.viz.figure import picture

RNG = np.random.default_rng(0)
draws = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="needs the extra chainrule[plot]"
)
NAMES = ("ant", "bee", "cat")


def texts(figure):
    """All titles and labels."""
    return " ".join(t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")))


# -- decision regions ------------------------------------------------------------------------------


@draws
def test_every_point_of_the_plane_has_the_colour_of_its_class():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    asked = []

    def predict(plane):
        asked.append(plane)
        return np.where(plane[:, 0] < 0.5, 2, 7)

    figure = viz.decision_regions(predict, points, [2, 7, 7], classes=("l", "r"), resolution=50)
    (axes,) = figure.axes
    region = axes.collections[0].get_array().reshape(50, 50)
    plane = asked[0].reshape(50, 50, 2)
    np.testing.assert_array_equal(region, plane[..., 0] >= 0.5)
    assert plane.min() == pytest.approx(-0.08) and plane.max() == pytest.approx(1.08)
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["l", "r"]
    assert viz.decision_regions(predict, points, [2, 7, 7], resolution=5, axes=axes) is axes


def test_points_of_three_dimensions_have_no_plane():
    with pytest.raises(ShapeError, match=r"points \(N, 2\) and labels \(N,\), got \(4, 3\)"):
        viz.decision_regions(lambda p: p, np.zeros((4, 3)), np.zeros(4))


# -- linear classifiers ----------------------------------------------------------------------------


@draws
def test_templates_are_shown_from_their_least_to_their_largest_value():
    weights = RNG.normal(size=(3, 3, 4, 5)) * 100
    figure = viz.templates(weights, NAMES, columns=2)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in figure.axes if axes.images] == list(NAMES)
    for image, weight in zip(shown, weights, strict=True):
        assert image.shape == (4, 5, 3)
        assert image.min() == 0 and image.max() == 1
        np.testing.assert_allclose(np.ptp(weight) * image[..., 1] + weight.min(), weight[1])
    with pytest.raises(ShapeError, match="3 names"):
        viz.templates(weights[:2], NAMES)


@draws
def test_three_views_show_the_scores_and_the_lines_where_they_are_zero():
    weights, bias = RNG.normal(size=(3, 1, 4, 4)), RNG.normal(size=3)
    labels = np.arange(60) % 3
    images = RNG.normal(size=(60, 1, 4, 4)) + labels[:, None, None, None]
    images[labels == 2, :, 0] += 3
    figure = viz.three_views(weights, bias, images, labels, NAMES, index=4)
    scores = (weights.reshape(3, -1) @ images[4].ravel()) + bias
    text = texts(figure)
    for score in scores:
        assert f"{score:.2f}" in text
    assert "W 3 x 16, x 16 pixels" in text
    geometry = next(axes for axes in figure.findobj() if _title(axes).startswith("geometric"))
    means = np.stack([images[labels == c].mean(axis=0).ravel() for c in range(3)])
    first = means[1] - means[0]
    first /= np.linalg.norm(first)
    second = means[2] - means[0]
    second -= (second @ first) * first
    second /= np.linalg.norm(second)
    assert len(geometry.lines) == 3
    for line, weight, offset in zip(geometry.lines, weights.reshape(3, -1), bias, strict=True):
        for a, b in line.get_xydata():
            place = means.mean(axis=0) + a * first + b * second
            assert weight @ place + offset == pytest.approx(0, abs=1e-9)


def _title(artist):
    return artist.get_title(loc="left") if hasattr(artist, "get_title") and hasattr(
        artist, "set_aspect") else ""  # fmt: skip


@draws
def test_three_views_need_three_classes():
    with pytest.raises(ConfigError, match="there must be images of each of the classes"):
        viz.three_views(np.ones((3, 1, 2, 2)), np.zeros(3), np.ones((4, 1, 2, 2)), [0, 1, 1, 0],
                        NAMES)  # fmt: skip
    with pytest.raises(ShapeError, match="do not fit each other"):
        viz.three_views(np.ones((3, 1, 2, 2)), np.zeros(2), np.ones((4, 1, 2, 2)), [0] * 4, NAMES)


# -- distances -------------------------------------------------------------------------------------


@draws
def test_a_matrix_of_distances_is_sorted_by_class():
    table = RNG.random((4, 6))
    rows, columns = np.array([1, 0, 1, 0]), np.array([2, 0, 1, 0, 1, 2])
    figure = viz.distance_matrix(table, rows, columns, classes=NAMES, title="t")
    axes = figure.axes[0]
    shown = axes.images[0].get_array()
    np.testing.assert_array_equal(shown, table[[1, 3, 0, 2]][:, [1, 3, 2, 4, 0, 5]])
    assert [t.get_text() for t in axes.get_xticklabels()] == list(NAMES)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["ant", "bee"]
    np.testing.assert_array_equal(viz.distance_matrix(table).axes[0].images[0].get_array(), table)
    with pytest.raises(ShapeError, match=r"expects distances \(Q, N\)"):
        viz.distance_matrix(table, columns, rows)


# -- the curse of dimensionality -------------------------------------------------------------------


def test_concentration_is_that_of_the_distances():
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    found = viz.concentration(points, metric="l1", queries=4)
    gaps = [[1, 3, 7], [1, 2, 6], [3, 2, 4], [7, 6, 4]]
    nearest = np.median([min(g) / np.mean(g) for g in gaps])
    farthest = np.median([max(g) / np.mean(g) for g in gaps])
    assert found == viz.Concentration(1, nearest, farthest)
    assert found.contrast == pytest.approx((farthest - nearest) / nearest)
    with pytest.raises(ConfigError, match="at least 3 points"):
        viz.concentration(points[:2])


def test_in_many_dimensions_all_are_about_as_far():
    few, many = (viz.concentration(RNG.random((300, d))) for d in (2, 1000))
    assert few.contrast > 10 > 0.5 > many.contrast
    cube = edge_of_a_cube(RNG.random((20_000, 2)), 0.25)
    assert cube == pytest.approx(0.5, abs=0.02)


def test_noise_beside_the_features_spoils_the_nearest_neighbour():
    labels = np.arange(200) % 2
    rows = RNG.normal(size=(200, 2)) + 8 * labels[:, None]
    clean, drowned = accuracy_with_noise(
        rows[:100], labels[:100], rows[100:], labels[100:], (0, 3000)
    )
    assert clean == 1.0
    assert drowned < 0.9


@draws
def test_the_curse_is_drawn():
    figure = viz.curse_of_dimensionality(
        {"images": RNG.random((50, 12))}, {0: 0.9, 10: 0.5}, dimensions=(1, 10), points=200
    )
    assert len(figure.axes) == 3
    assert "images, D = 12" in texts(figure)
    (line,) = figure.axes[2].lines
    np.testing.assert_array_equal(line.get_ydata(), [90, 50])
    assert len(viz.curse_of_dimensionality(dimensions=(1, 10), points=200).axes) == 2


# -- shifted images --------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_the_variants_are_equally_far(channels):
    image = RNG.integers(0, 256, (channels, 16, 16), dtype=np.uint8)
    image[:, 4:9] //= 3
    original, moved, *others = viz.equally_far(image, pixels=1)
    np.testing.assert_array_equal(original.image, image)
    np.testing.assert_array_equal(moved.image[:, :, 1:], image[:, :, :-1])
    for variant in (moved, *others):
        gap = np.sqrt(((variant.image.astype(float) - image) ** 2).sum())
        assert variant.distance == pytest.approx(gap)
        assert gap == pytest.approx(moved.distance, rel=0.03)
        assert variant.image.dtype == np.uint8
    assert [v.name for v in others] == ["darker", "with a square", "with noise"]


def test_an_image_that_moving_does_not_change():
    flat = np.full((1, 8, 8), 90, np.uint8)
    with pytest.raises(ConfigError, match="changes it too little or too much"):
        viz.equally_far(flat)
    with pytest.raises(ConfigError, match="pixels must be from 1 to 7, got 8"):
        viz.equally_far(flat, pixels=8)


@draws
def test_variants_are_drawn_with_their_distances():
    image = RNG.integers(0, 256, (3, 8, 8), dtype=np.uint8)
    variants = viz.equally_far(image, pixels=1)
    figure = viz.shifted_images(variants)
    assert [axes.get_title() for axes in figure.axes] == [v.name for v in variants]
    np.testing.assert_allclose(figure.axes[0].images[0].get_array() * 255, image.transpose(1, 2, 0))
    assert f"L2 distance {variants[1].distance:,.0f}" in texts(figure)


# -- accuracy over folds ---------------------------------------------------------------------------


@draws
def test_every_fold_is_a_dot_and_the_means_a_line():
    curves = {"l1": {1: [0.5, 0.7], 10: [0.6, 0.9]}, "l2": {1: [0.4, 0.4], 10: [0.5, 0.5]}}
    figure = viz.accuracy_curve(curves, name="k", title="t")
    (axes,) = figure.axes
    dots = {(x, round(y, 9)) for line in axes.lines for x, y in line.get_xydata()}
    assert {(1, 50), (1, 70), (10, 60), (10, 90), (1, 60), (10, 75)} <= dots
    assert "best: k = 10, l1, 75.0%" in texts(figure)
    assert axes.get_xlabel() == "k"
    segments = axes.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(segments[0][:, 1], [50, 70])  # 60 ± 10


# -- all -------------------------------------------------------------------------------------------


def test_pictures_are_grey_or_in_colour():
    assert picture(np.zeros((1, 2, 3), np.uint8)).shape == (2, 3)
    assert picture(np.full((3, 2, 3), 255, np.uint8)).max() == 1
    np.testing.assert_array_equal(picture(np.full((1, 2, 2), 7.0), stretch=True), 0.5)
    with pytest.raises(ShapeError, match=r"a picture is \(1, H, W\) or \(3, H, W\)"):
        picture(np.zeros((2, 2, 3)))


def test_without_matplotlib_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("chainrule.viz.figure.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'chainrule\[plot\]'"):
        viz.templates(np.ones((3, 1, 2, 2)), NAMES)
    with pytest.raises(MissingExtraError, match="cv: needs matplotlib"):
        viz.check_figure(tmp_path / "a.png", "cv")
    with pytest.raises(ConfigError, match=r"a figure is \.png, \.svg, \.pdf; got 'a\.txt'"):
        viz.check_figure(tmp_path / "a.txt", "cv")


@draws
def test_a_figure_becomes_a_file(tmp_path):
    viz.templates(np.ones((3, 1, 2, 2)), NAMES).savefig(tmp_path / "t.png")
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
