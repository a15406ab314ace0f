import io
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chainrule.data.decode import (
    LazyImages,
    Target,
    checked_size,
    choose_target,
    decode,
    decode_all,
    decode_file,
    refit,
)
from chainrule.data.files import BrokenFileError, Files
from chainrule.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 10, 3), np.uint8)  # height 6, width 10
GREY = RNG.integers(0, 256, (6, 10), np.uint8)


def encode(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(stream, kind, **options)
    return stream.getvalue()


class StoredFiles(Files):
    def __init__(self, contents: dict[str, bytes]) -> None:
        self.root, self.names, self.contents = Path("set"), sorted(contents), contents

    def read(self, name: str) -> bytes:
        return self.contents[name]


def bomb(width: int = 100_000, height: int = 100_000) -> bytes:
    """A PNG of a few bytes that claims to be enormous."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


def test_rgb_and_grey_come_as_they_are():
    np.testing.assert_array_equal(decode(encode(RGB)), RGB)
    np.testing.assert_array_equal(decode(encode(GREY)), GREY[..., None])


def test_grey_to_colour_and_back():
    np.testing.assert_array_equal(decode(encode(GREY), channels=3), np.dstack([GREY] * 3))
    luma = RGB @ np.array([0.299, 0.587, 0.114])
    assert np.abs(decode(encode(RGB), channels=1)[..., 0] - luma).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "PPM", "WEBP", "JPEG"])
def test_formats(kind):
    smooth = Image.fromarray(np.full((8, 8, 3), 100, np.uint8))
    assert np.abs(decode(encode(smooth, kind), channels=3).astype(int) - 100).max() <= 2


def test_bilevel():
    image = Image.fromarray(GREY).convert("1")
    assert decode(encode(image)).shape == (6, 10, 1)
    assert set(np.unique(decode(encode(image)))) == {0, 255}


def test_palette():
    image = Image.fromarray(RGB).quantize(4)
    np.testing.assert_array_equal(decode(encode(image)), np.asarray(image.convert("RGB")))


def test_transparency_is_laid_over_white():
    rgba = np.dstack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 0, np.uint8)])
    rgba[0, 0, 3] = 255
    rgba[1, 1, 3] = 128
    pixels = decode(encode(rgba))
    assert pixels.shape == (4, 4, 3)
    assert pixels[0, 0].tolist() == [0] * 3 and pixels[3, 3].tolist() == [255] * 3
    assert abs(int(pixels[1, 1, 0]) - 127) <= 1


def test_transparent_grey_and_palette():
    grey = Image.merge("LA", [Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 0)])
    assert decode(encode(grey)).shape == (4, 4, 1) and decode(encode(grey)).min() == 255
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert decode(encode(palette, transparency=0)).min() == 255
    assert decode(encode(palette))[0, 0].tolist() == [10, 20, 30]


def test_cmyk_jpeg():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    red, green, blue = decode(encode(image, "JPEG"))[8, 8].tolist()
    assert red > 200 and green < 60 and blue < 60


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled(kind):
    pixels = np.array([[0, 257, 128 * 257 + 100, 65535]], np.uint16)
    assert decode(encode(pixels, kind))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_floating_point_images_are_refused():
    with pytest.raises(BrokenFileError, match="floating-point"):
        decode(encode(np.zeros((4, 4), np.float32), "TIFF"))


@pytest.mark.parametrize(
    "orientation, upright",
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).swapaxes(0, 1)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_exif_orientation(orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode(encode(RGB, exif=exif)), upright(RGB))


def test_resizing_covers_and_crops_the_centre():
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 200  # the middle third survives
    assert (decode(encode(image), size=(10, 10)) == 200).all()
    assert (decode(encode(image), size=(5, 5))[1:-1, 1:-1] == 200).all()
    assert decode(encode(image), size=(20, 8)).shape == (20, 8, 3)


def test_resizing_is_antialiased():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    small = decode(encode(stripes), size=(16, 16))
    assert np.abs(small.astype(int) - 128).max() < 20


def test_a_large_jpeg_is_close_to_the_same_picture_as_png():
    smooth = Image.fromarray(RGB).resize((800, 600), Image.Resampling.BICUBIC)
    jpeg = decode(encode(smooth, "JPEG", quality=95), size=(32, 32))
    png = decode(encode(smooth), size=(32, 32))
    assert np.abs(jpeg.astype(int) - png).mean() < 2


def test_a_phones_multi_picture_jpeg_gives_its_first_picture():
    stream = io.BytesIO()
    first = Image.new("RGB", (16, 16), (200, 0, 0))
    first.save(stream, "MPO", save_all=True, append_images=[Image.new("RGB", (16, 16), "blue")])
    assert decode(stream.getvalue())[8, 8, 0] > 190


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert decode(stream.getvalue())[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty file"),
        (b"this is text, renamed .png", "not an image file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image file"),
        (bomb(), "decompression bomb"),
        (bomb(10_000, 10_000), "decompression bomb: 10000 x 10000 pixels"),
        (encode(RNG.integers(0, 256, (64, 64, 3), np.uint8), "JPEG")[:1500], "truncated"),
        (encode(RNG.integers(0, 256, (64, 64, 3), np.uint8))[:1500], "damaged"),
        (bomb(50, 50), "damaged"),
    ],
    ids=["empty", "text", "eps", "bomb", "half-bomb", "jpeg", "png", "no pixels"],
)
def test_broken_files_give_a_reason(content, reason, recwarn):
    with pytest.raises(BrokenFileError, match=reason):
        decode_file(content, None, None)
    assert not recwarn.list


def test_good_pixels_survive_bad_metadata():
    content = encode(Image.fromarray(RGB), "JPEG", exif=b"Exif\0\0garbage")
    assert decode(content).shape == RGB.shape


def targets(**contents: bytes) -> Target:
    files = StoredFiles(contents)
    return decode_all(
        files, files.names, choose_target(files, files.names, None, None), memory_limit=2**30
    ).target


def test_automatic_size_and_channels():
    small, other = RNG.integers(0, 256, (8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)
    large = np.zeros((65, 65), np.uint8)
    assert targets(a=encode(small), b=encode(small)).shape == (8, 8, 3)
    assert targets(a=encode(small), b=encode(other)).shape == (64, 64, 3)
    assert targets(a=encode(large), b=encode(large)).shape == (64, 64, 1)
    assert targets(a=encode(small[..., 0]), b=encode(small[..., 0])).shape == (8, 8, 1)
    assert targets(a=encode(small[..., 0]), b=encode(small)).shape == (8, 8, 3)
    assert targets(a=encode(small), b=encode(small[..., 0])).shape == (8, 8, 3)
    assert targets(a=encode(small[..., 0]), b=encode(other), c=encode(large)).shape == (64, 64, 3)
    assert targets(a=b"broken", b=encode(small), c=encode(small)).shape == (8, 8, 3)


GOOD = {f"{n:03}.png": encode(RNG.integers(0, 256, (8, 8, 3), np.uint8)) for n in range(150)}
TARGET = Target((8, 8), 3)


def test_decode_all_keeps_order_and_names_what_it_skips():
    contents = GOOD | {"005.png": b"text", "149.png": b""}
    seen = []
    decoded = decode_all(
        StoredFiles(contents),
        sorted(contents),
        TARGET,
        memory_limit=2**30,
        progress=lambda *args: seen.append(args),
    )
    assert [(item.name, item.reason) for item in decoded.skipped] == [
        ("005.png", "not an image file"),
        ("149.png", "empty file"),
    ]
    assert decoded.kept.tolist() == [n for n in range(150) if n not in (5, 149)]
    expected = [decode(contents[f"{n:03}.png"]) for n in decoded.kept]
    np.testing.assert_array_equal(decoded.images, expected)
    assert seen[-1] == ("decode", 150, 150)
    assert len({name for name, _, _ in seen}) == 1 and [d for _, d, _ in seen] == [64, 128, 150]


def test_strict_stops_at_the_first():
    contents = GOOD | {"005.png": b"text", "100.png": b""}
    before = threading.active_count()
    with pytest.raises(DataError, match=r"cannot read 005.png in set: not an image file"):
        decode_all(StoredFiles(contents), sorted(contents), TARGET, memory_limit=2**30, strict=True)
    assert threading.active_count() == before


def test_mostly_broken_is_an_error_even_if_not_strict():
    contents = {"a": GOOD["000.png"], "b": b"", "c": b"x"}
    with pytest.raises(DataError, match=r"2 of 3 images in set cannot be read: b \(empty file\)"):
        decode_all(StoredFiles(contents), sorted(contents), TARGET, memory_limit=2**30)


def test_what_does_not_fit_is_decoded_on_access():
    contents = GOOD | {"005.png": b"text"}
    files = StoredFiles(contents)
    eager = decode_all(files, files.names, TARGET, memory_limit=2**30)
    lazy = decode_all(files, files.names, TARGET, memory_limit=100)
    assert isinstance(lazy.images, LazyImages) and isinstance(eager.images, np.ndarray)
    assert lazy.images.shape == eager.images.shape and lazy.skipped == eager.skipped
    chosen = np.array([7, 0, 148])
    np.testing.assert_array_equal(lazy.images[chosen], eager.images[chosen])
    np.testing.assert_array_equal(lazy.images[4], eager.images[4])
    del contents["000.png"]
    contents["000.png"] = b"broken since"
    with pytest.raises(DataError, match=r"000.png in set has become unreadable"):
        lazy.images[0]


def test_refit_does_what_decoding_does():
    image = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(
        refit(image[None], (8, 8), 1)[0], decode(encode(image), (8, 8), 1)
    )
    np.testing.assert_array_equal(
        refit(GREY[None, ..., None], None, 3)[0], decode(encode(GREY), None, 3)
    )


@pytest.mark.parametrize("size", [0, -1, (8,), (8, 0), 2.5, (8, 8, 3)])
def test_impossible_sizes(size):
    with pytest.raises(ConfigError, match="image_size"):
        checked_size(size)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"])
def test_any_damage_to_an_image_is_a_named_reason(kind, recwarn):
    whole = encode(RNG.integers(0, 256, (20, 20, 3), np.uint8), kind)
    rng = np.random.default_rng(1)
    broken = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 80), 3):
            damaged[place] = rng.integers(256)
        try:
            assert decode_file(bytes(damaged), (8, 8), 3).shape == (8, 8, 3)
        except BrokenFileError:
            broken += 1
    assert broken > 5
    assert not recwarn.list
