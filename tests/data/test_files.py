import errno
import os
import random
import stat
import zipfile
from pathlib import Path

import pytest

from chainrule.data import files as files_module
from chainrule.data.files import BrokenFileError, open_files
from chainrule.errors import DataError


def make_zip(
    path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_folder_and_zip_list_and_read_the_same(tmp_path: Path):
    entries = {"cat/1.png": b"one", "cat/deep/2.png": b"two", "dog/3.png": b"three"}
    for name, content in entries.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    for files in (
        open_files(tmp_path / "folder"),
        open_files(make_zip(tmp_path / "z.zip", entries)),
    ):
        assert files.names == sorted(entries)
        assert files.folders == {"cat", "cat/deep", "dog"}
        assert {name: files.read(name) for name in files.names} == entries
        files.close()


def test_litter_is_not_listed(tmp_path: Path):
    entries = {
        "a/1.png": b"",
        ".git/2.png": b"",
        "__MACOSX/a/._1.png": b"",
        "a/Thumbs.db": b"",
        "a/.DS_Store": b"",
        "a/desktop.ini": b"",
    }
    files = open_files(make_zip(tmp_path / "z.zip", entries))
    assert files.names == ["a/1.png"] and files.folders == {"a"}


def test_runs_among_the_images_are_not_listed(tmp_path: Path):
    for name in (
        "cat/1.png",
        "runs/one/last.safetensors",
        "runs/one/samples/7.png",
        "dog/2.png",
        "dog/run/best.safetensors",
        "out/best.safetensors",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = open_files(tmp_path)
    assert files.names == ["cat/1.png", "dog/2.png"]
    assert files.folders == {"cat", "dog"}


def test_empty_folders_are_known(tmp_path: Path):
    (tmp_path / "folder" / "empty").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.mkdir("empty")
    assert open_files(tmp_path / "folder").folders == {"empty"}
    assert open_files(tmp_path / "z.zip").folders == {"empty"}


@pytest.mark.parametrize(
    "name",
    ["../x.png", "a/../../x.png", "/etc/x.png", "C:/x.png", "..\\x.png", "C:\\x.png", "a/.."],
)
def test_an_entry_that_climbs_out_refuses_the_zip(tmp_path: Path, name):
    path = make_zip(tmp_path / "z.zip", {"a/1.png": b"", name: b""})
    with pytest.raises(DataError, match="climbs out of the zip") as caught:
        open_files(path)
    assert "z.zip is refused" in str(caught.value) and "\n" not in str(caught.value)


def test_a_symbolic_link_refuses_the_zip(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        link = zipfile.ZipInfo("a/link.png")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="symbolic link"):
        open_files(tmp_path / "z.zip")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path):
    files = open_files(make_zip(tmp_path / "z.zip", {"bomb.png": bytes(20 * 2**20), "ok": b"ok"}))
    with pytest.raises(BrokenFileError, match="decompression bomb"):
        files.read("bomb.png")
    assert files.read("ok") == b"ok"


def test_absurd_sizes_are_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(files_module, "MAX_FILE_BYTES", 10)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "big.png").write_bytes(bytes(11))
    path = make_zip(tmp_path / "z.zip", {"big.png": bytes(11)})
    for files in (open_files(tmp_path / "folder"), open_files(path)):
        with pytest.raises(BrokenFileError, match="larger than"):
            files.read("big.png")


def test_damage_inside_a_zip_concerns_one_entry(tmp_path: Path):
    path = make_zip(tmp_path / "z.zip", {"a": b"AAAAAAAA", "b": b"BBBBBBBB"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"AAAAAAAA", b"AAAAXAAA"))
    files = open_files(path)
    with pytest.raises(BrokenFileError, match="damaged inside the zip"):
        files.read("a")
    assert files.read("b") == b"BBBBBBBB"


def test_encrypted_entries(tmp_path: Path):
    path = make_zip(tmp_path / "z.zip", {"a": b"A"}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the entry's own header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    path.write_bytes(content)
    with pytest.raises(BrokenFileError, match="encrypted"):
        open_files(path).read("a")


@pytest.mark.parametrize("keep", [0, 10, -30])
def test_truncated_zip(tmp_path: Path, keep):
    path = make_zip(tmp_path / "z.zip", {"a": b"A" * 100})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="not a complete zip"):
        open_files(path)


def test_neither_folder_nor_zip(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"neither a folder nor a .zip"):
        open_files(tmp_path / "notes.txt")


def test_a_folder_closed_to_us_is_named(tmp_path: Path, monkeypatch):
    (tmp_path / "cat").mkdir()
    real = os.scandir

    def closed(path):  # permissions would not stop a test that runs as root
        if Path(path).name == "cat":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(DataError, match=r"cannot read the folder \S+cat: Permission denied"):
        open_files(tmp_path)


def test_a_zip_closed_to_us_is_named(tmp_path: Path, monkeypatch):
    def closed(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (tmp_path / "z.zip").touch()
    monkeypatch.setattr(zipfile, "ZipFile", closed)
    with pytest.raises(DataError, match=r"cannot read \S+z\.zip: Permission denied$"):
        open_files(tmp_path / "z.zip")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links here")
def test_a_link_in_a_circle_ends(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"")
    os.symlink(tmp_path, tmp_path / "a" / "again")
    assert open_files(tmp_path).names == ["a/1.png"]


def test_linked_class_folders_are_followed(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").write_bytes(b"")
    (tmp_path / "set").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "set" / "cat")
    assert open_files(tmp_path / "set").names == ["cat/1.png"]


def test_any_damage_to_a_zip_is_a_named_error(tmp_path: Path):
    whole = make_zip(
        tmp_path / "z.zip", {f"c{n}/x.png": b"content" * 9 for n in range(3)}
    ).read_bytes()
    rng = random.Random(0)
    refused = broken = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(len(whole))] = rng.randrange(256)
        (tmp_path / "z.zip").write_bytes(damaged)
        try:
            files = open_files(tmp_path / "z.zip")
        except DataError:
            refused += 1
            continue
        for name in files.names:
            try:
                files.read(name)
            except BrokenFileError:
                broken += 1
        files.close()
    assert refused > 10 and broken > 10
