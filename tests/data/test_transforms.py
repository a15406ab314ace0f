import json

import numpy as np
import pytest

from chainrule.data import Compose, Cutout, Normalize, RandomCrop, RandomHorizontalFlip, from_config
from chainrule.errors import ConfigError, ShapeError

IMAGES = np.random.default_rng(0).integers(1, 256, (64, 6, 5, 3), np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_normalize_is_its_formula():
    mean, std = (0.1, 0.5, 0.9), (0.2, 1.0, 0.05)
    out = Normalize(mean, std)(IMAGES)
    assert out.dtype == np.float32 and out.flags.c_contiguous
    np.testing.assert_allclose(out, (IMAGES / 255 - mean) / std, rtol=1e-5, atol=1e-5)


def test_normalize_rejects_what_does_not_fit():
    with pytest.raises(ShapeError, match="for 1 channels, the images have 3"):
        Normalize([0.5], [0.5])(IMAGES)
    for mean, std in (([0.5], [0.0]), ([0.5], [1, 1]), ([], [])):
        with pytest.raises(ConfigError, match="Normalize"):
            Normalize(mean, std)


def test_crop_shifts_each_image_on_its_own():
    out = RandomCrop(2)(IMAGES, rng())
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)))
    places = []
    for image, original in zip(out, padded, strict=True):
        found = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if np.array_equal(image, original[top : top + 6, left : left + 5])
        ]
        assert len(found) == 1
        places += found
    assert len(set(places)) > 15  # of 25
    assert {top for top, _ in places} == {left for _, left in places} == set(range(5))


def test_no_padding_changes_nothing():
    np.testing.assert_array_equal(RandomCrop(0)(IMAGES, rng()), IMAGES)


def test_flip_mirrors_about_half():
    out = RandomHorizontalFlip()(IMAGES, rng())
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(out, IMAGES, strict=True)]
    kept = [np.array_equal(a, b) for a, b in zip(out, IMAGES, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(IMAGES, rng()), IMAGES[:, :, ::-1])
    np.testing.assert_array_equal(RandomHorizontalFlip(0)(IMAGES, rng()), IMAGES)


def test_cutout_hides_one_square_of_each_image():
    dark = np.zeros((400, 7, 9, 3), np.uint8)
    out = Cutout(4)(dark, rng())
    hidden = out[..., 0] != 0
    assert np.unique(out).tolist() == [0, 128] and (out == out[..., :1]).all()
    heights, widths = hidden.any(axis=2).sum(axis=1), hidden.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(hidden.sum(axis=(1, 2)), heights * widths)  # a rectangle
    # a square of 4 whose middle is anywhere from 0 to 6: 2, 3 rows at the edges, else 4
    assert set(heights.tolist()) == set(widths.tolist()) == {2, 3, 4}
    assert (heights == 4).mean() == pytest.approx(4 / 7, abs=0.1)
    assert hidden.any(axis=0).all()  # any pixel may be hidden
    np.testing.assert_array_equal(Cutout(0)(IMAGES, rng()), IMAGES)


@pytest.mark.parametrize(
    "transform",
    [RandomCrop(2), RandomHorizontalFlip(), Cutout(3), Normalize([0.5] * 3, [0.5] * 3)],
    ids=repr,
)
def test_the_input_is_left_alone_and_the_seed_decides(transform):
    before = IMAGES.copy()
    first, second = transform(IMAGES, rng(1)), transform(IMAGES, rng(1))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(IMAGES, before)
    assert transform(IMAGES[:0], rng()).shape == (0, 6, 5, 3)


def test_compose_applies_in_order():
    chain = Compose([RandomCrop(2), RandomHorizontalFlip(), Normalize([0.5] * 3, [0.25] * 3)])
    one = rng(5)
    expected = IMAGES
    for step in chain.transforms:
        expected = step(expected, one)
    np.testing.assert_array_equal(chain(IMAGES, rng(5)), expected)


def test_config_round_trip():
    chain = Compose([RandomCrop(2), RandomHorizontalFlip(0.3), Cutout(5), Normalize([0.5], [0.25])])
    again = from_config(json.loads(json.dumps(chain.to_config())))
    assert repr(again) == repr(chain) and "RandomCrop(padding=2)" in repr(chain)


@pytest.mark.parametrize(
    "step, message",
    [
        ({"name": "rotate"}, "unknown name 'rotate'; known: normalize"),
        ({}, "unknown name None"),
        ({"name": "random_crop", "size": 3}, "random_crop does not take these settings"),
    ],
)
def test_unknown_config(step, message):
    with pytest.raises(ConfigError, match=message):
        from_config([step])


@pytest.mark.parametrize(
    "make", [lambda: RandomCrop(-1), lambda: RandomHorizontalFlip(1.5), lambda: Cutout(-1)]
)
def test_impossible_values(make):
    with pytest.raises(ConfigError):
        make()
