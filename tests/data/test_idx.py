import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from chainrule.data.idx import read_idx
from chainrule.errors import DataError


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(0,), (5,), (2, 3, 4)], ids=str)
def test_reads_what_was_written(tmp_path: Path, pack, shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    (tmp_path / "file").write_bytes(pack(idx(array)))
    result = read_idx(tmp_path / "file")
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, array)


WHOLE = idx(np.zeros((2, 3), np.uint8))


@pytest.mark.parametrize(
    "content, message",
    [
        (b"<html>no such file</html>", "not an idx file"),
        (b"", "not an idx file"),
        (b"\0\0\x0d\x01\0\0\0\0", "type 0x0d"),
        (WHOLE[:6], "truncated inside its header"),
        (WHOLE[:-1], "6 bytes, but holds 5"),
        (WHOLE + b"x", "6 bytes, but holds 7"),
        (gzip.compress(WHOLE)[:-12], "cannot read"),
        (b"\x1f\x8bnot gzip at all", "cannot read"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content, message):
    (tmp_path / "broken-idx").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(tmp_path / "broken-idx")
    assert "broken-idx" in str(caught.value)


def test_missing_file(tmp_path: Path):
    with pytest.raises(DataError, match="cannot read"):
        read_idx(tmp_path / "absent")
