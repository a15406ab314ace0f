"""Rows and images."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: chainrule[classic]")

from chainrule.classifiers import find_image_shape, image_rows
from chainrule.data import ImageDataset
from chainrule.errors import ConfigError, ShapeError


@pytest.mark.parametrize(
    ("features", "shape"),
    [
        (3072, (3, 32, 32)),
        (784, (1, 28, 28)),
        (1, (1, 1, 1)),
        (3, (3, 1, 1)),
        (27, (3, 3, 3)),
        (10, (1, 1, 10)),
        (12, (3, 2, 2)),
    ],
)
def test_auto_sees_colour_squares_grey_squares_and_lines(features, shape):
    assert find_image_shape("HOG", "auto", features) == shape


def test_a_given_shape_must_fit():
    assert find_image_shape("HOG", [1, 2, 6], 12) == (1, 2, 6)
    with pytest.raises(ShapeError, match=r"HOG: X has 12 features, images of 3x2x3 have 18"):
        find_image_shape("HOG", (3, 2, 3), 12)
    for wrong in ("square", (2, 6), (0, 2, 6), 12, ("a", 1, 1)):
        with pytest.raises(ConfigError, match="image_shape must be"):
            find_image_shape("HOG", wrong, 12)


def test_rows_are_planes_one_after_the_other():
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    rows = image_rows(images)
    assert rows.dtype == np.uint8 and rows.shape == (2, 60) and rows.flags.c_contiguous
    np.testing.assert_array_equal(rows.reshape(2, 3, 4, 5)[1, 2], images[1, :, :, 2])
    dataset = ImageDataset.from_arrays(images, [0, 1]).subset([1])
    np.testing.assert_array_equal(image_rows(dataset), rows[1:])
    np.testing.assert_array_equal(image_rows(images[..., 0]), rows[:, :20])
    with pytest.raises(ShapeError, match=r"expects images \(n, H, W\)"):
        image_rows(images.transpose(0, 3, 1, 2)[:, :2])


def test_without_scikit_learn_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'sklearn' else found(name, *a)\n"
        "import chainrule\n"
        "from chainrule.errors import MissingExtraError\n"
        "try: import chainrule.classifiers\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "chainrule[classic]"' in done.stdout
