from pathlib import Path

import pytest

from chainrule.data.files import Files
from chainrule.data.layout import read_layout
from chainrule.errors import DataError


class ListedFiles(Files):
    """Files that exist by name only, and folders that hold nothing (names ending in '/')."""

    def __init__(self, *names: str, tables: dict[str, str] | None = None) -> None:
        self.tables = tables or {}
        self.root = Path("set")
        self.names = sorted([name for name in names if not name.endswith("/")] + [*self.tables])
        self.folders = set()
        for name in [*names, *self.tables]:
            parts = name.split("/")[:-1]
            self.folders |= {"/".join(parts[: n + 1]) for n in range(len(parts))}

    def read(self, name: str) -> bytes:
        return self.tables[name].encode()


def layout(*names: str, tables: dict[str, str] | None = None) -> dict[str, dict[str, str]]:
    parts = read_layout(ListedFiles(*names, tables=tables)).parts
    return {key: dict(zip(part.names, part.labels, strict=True)) for key, part in parts.items()}


def test_class_folders():
    assert layout("cat/1.jpg", "dog/2.PNG", "dog/deep/3.png") == {
        "all": {"cat/1.jpg": "cat", "dog/2.PNG": "dog", "dog/deep/3.png": "dog"}
    }


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_parts(val):
    names = ("train/a/1.png", "train/b/2.png", f"{val}/a/3.png", "test/b/4.png")
    assert layout(*names) == {
        "train": {names[0]: "a", names[1]: "b"},
        "val": {names[2]: "a"},
        "test": {names[3]: "b"},
    }


def test_a_folder_above_everything():
    assert layout("top/train/a/1.png", "top/test/a/2.png") == {
        "train": {"top/train/a/1.png": "a"},
        "test": {"top/test/a/2.png": "a"},
    }
    assert layout("x/y/a/1.png", "x/y/b/2.png") == {"all": {"x/y/a/1.png": "a", "x/y/b/2.png": "b"}}


def test_train_alone_is_a_part_and_not_a_folder_above():
    assert layout("train/a/1.png", "train/b/1.png") == {
        "train": {"train/a/1.png": "a", "train/b/1.png": "b"}
    }


def test_a_class_may_be_called_train():
    assert layout("plane/1.png", "train/2.png") == {
        "all": {"plane/1.png": "plane", "train/2.png": "train"}
    }


def test_other_files_are_counted():
    assert read_layout(ListedFiles("a/1.png", "b/1.png", "README.md", "a/notes.txt")).ignored == 2


def test_labels_file():
    table = "file,label\n1.png,cat\n./sub/2.png, dog \nsub\\3.png,cat\n"
    assert layout("1.png", "sub/2.png", "sub/3.png", tables={"labels.csv": table}) == {
        "all": {"1.png": "cat", "sub/2.png": "dog", "sub/3.png": "cat"}
    }


def test_labels_file_in_each_part():
    tables = {
        "train/labels.csv": "file,label\n1.png,a\n",
        "test/labels.csv": "\ufefflabel,file\nb,2.png\n",
    }
    assert layout("train/1.png", "test/2.png", tables=tables) == {
        "train": {"train/1.png": "a"},
        "test": {"test/2.png": "b"},
    }


@pytest.mark.parametrize(
    "table, message",
    [
        ("file,label\n1.png,a\n2.png,b\n9.png,a\n", r"1 rows name no image there \(9.png\)"),
        ("file,label\n1.png,a\n", r"1 images have no row \(2.png\)"),
        ("file,label\n1.png,a\nx.png,a\n", "1 rows name no image .* and 1 images have no row"),
        ("file,label\n1.png,a\n2.png,b\n../1.png,a\n", r"rows name no image there \(../1.png\)"),
        ("file,label\n1.png,a\n2.png,b\n1.png,b\n", "gives '1.png' two labels, 'a' and 'b'"),
        ("file,label\n1.png,a\n2.png,\n", "line 3 has no label for '2.png'"),
        ("file,label\n1.png,a\n2.png\n", "line 3 has no label for '2.png'"),
        ("1.png,a\n2.png,b\n", "begins with '1.png,a'; its first line must be file,label"),
        ("", "its first line must be file,label"),
    ],
)
def test_a_labels_file_that_does_not_match(table, message):
    with pytest.raises(DataError, match=message) as caught:
        layout("1.png", "2.png", tables={"labels.csv": table})
    assert "labels.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_long_lists_are_cut():
    names = [f"{n}.png" for n in range(50)]
    with pytest.raises(DataError, match=r"49 images have no row \(1.png, 10.png, 11.png, \.\.\.\)"):
        layout(*names, tables={"labels.csv": "file,label\n0.png,a\n"})


@pytest.mark.parametrize(
    "names, message",
    [
        ((), "no images in set; it is empty"),
        (("a/1.txt", "b.doc"), "no images in set; it has files of other kinds: a/1.txt, b.doc"),
        (
            ("a/1.png", "b/", "c/"),
            "no images in the class folder b, c of set; fill it or remove it",
        ),
        (("train/a/1.png", "train/b/"), "no images in the class folder b of set/train"),
        (("train/a/1.png", "test/b/", "test/a/1.png"), "class folder b of set/test"),
        (("1.png", "2.png"), "2 images lie in set without a class.*labels.csv"),
        (
            ("1.png", "a/2.png", "b/3.png"),
            r"1 images lie in set beside its class folders \(1.png\)",
        ),
        (
            ("train/1.png", "test/2.png"),
            "images directly in test, train; sort them into class folders",
        ),
        (("train/a/1.png", "cat/2.png"), "has images in cat beside train"),
        (("train/a/1.png", "val/a/2.png", "valid/a/3.png"), "two folders for the val images"),
        (("train/a/1.png", "test/2.png"), "1 images lie in set/test without a class"),
    ],
)
def test_what_cannot_be_sorted(names, message):
    with pytest.raises(DataError, match=message) as caught:
        layout(*names)
    assert "\n" not in str(caught.value)


def test_folders_without_images_beside_the_parts_do_not_matter():
    assert set(layout("train/a/1.png", "docs/readme.txt")) == {"train"}


def test_a_labels_file_that_is_no_table():
    with pytest.raises(DataError, match=r"labels\.csv line \d"):
        layout("1.png", tables={"labels.csv": "file,label\n1.png," + "x" * 200_000})
