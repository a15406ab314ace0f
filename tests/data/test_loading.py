import io
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chainrule import data
from chainrule.errors import ConfigError, DataError

from .test_decode import bomb


def zipped(folder: Path, top: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, top + file.relative_to(folder).as_posix())
    return path


def same(first: data.ImageDataset, second: data.ImageDataset) -> None:
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_class_folders(make_folder):
    splits = data.load(make_folder({"dog": 20, "cat": 10}))
    assert splits.classes == ("cat", "dog") and splits.name == "pets" and splits.test is None
    assert np.bincount(splits.train.labels).tolist() == [9, 18]
    assert np.bincount(splits.val.labels).tolist() == [1, 2]
    assert splits.image_shape == (8, 8, 3) and splits.skipped == ()


def test_parts_are_kept_apart(make_folder):
    root = make_folder({"train/a": 3, "train/b": 4, "val/a": 2, "val/b": 1, "test/b": 2})
    splits = data.load(root)
    assert np.bincount(splits.train.labels).tolist() == [3, 4]
    assert np.bincount(splits.val.labels).tolist() == [2, 1]
    assert splits.test.labels.tolist() == [1, 1]
    first = np.asarray(Image.open(root / "test" / "b" / "0.png"))
    np.testing.assert_array_equal(splits.test.images[0], first)


def test_without_a_val_folder_the_test_images_stay_untouched(make_folder):
    splits = data.load(make_folder({"train/a": 10, "train/b": 10, "test/a": 3, "test/b": 3}))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (18, 2, 6)


@pytest.mark.parametrize("top", ["", "everything/"])
def test_a_zip_is_the_folder_it_was_made_from(make_folder, top):
    root = make_folder({"train/a": 5, "train/b": 5, "test/a": 2, "test/b": 2})
    folder, archive = data.load(root), data.load(zipped(root, top))
    for part in ("train", "val", "test"):
        same(getattr(folder, part), getattr(archive, part))
    assert archive.classes == folder.classes and archive.name == "pets"


def test_a_labels_file(make_folder):
    root = make_folder({"a": 4, "b": 4})
    flat = root.parent / "flat"
    flat.mkdir()
    rows = ["file,label"]
    for file in sorted(root.rglob("*.png")):
        name = f"{file.parent.name}{file.name}"
        shutil.copy(file, flat / name)
        rows.append(f"{name},{file.parent.name}")
    (flat / "labels.csv").write_text("\n".join(rows))
    same(data.load(flat).train, data.load(root).train)
    os.remove(flat / "a0.png")
    with pytest.raises(DataError, match=r"labels\.csv does not match .* 1 rows name no image"):
        data.load(flat)


def test_the_seed_decides_which_images_validate(make_folder):
    root = make_folder({"a": 20, "b": 20})
    same(data.load(root, seed=3).val, data.load(root, seed=3).val)
    assert not np.array_equal(
        data.load(root, seed=3).val.images, data.load(root, seed=4).val.images
    )
    assert len(data.load(root, val_fraction=0.25).val) == 10


def test_broken_images_among_good_ones_are_named_skipped_and_counted(make_folder, save_image):
    root = make_folder({"a": 6, "b": 6})
    whole = save_image(root / "a" / "photo.jpg", size=(64, 64)).read_bytes()
    (root / "a" / "photo.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "b" / "text.png").write_text("not a picture")
    (root / "b" / "bomb.png").write_bytes(bomb())
    (root / "b" / "notes.txt").write_text("other files do not count as broken")
    splits = data.load(root)
    assert [item.name for item in splits.skipped] == ["a/photo.jpg", "b/bomb.png", "b/text.png"]
    reasons = " ".join(item.reason for item in splits.skipped)
    assert "truncated" in reasons and "bomb" in reasons and "not an image" in reasons
    assert len(splits.train) + len(splits.val) == 12 and splits.ignored == 1
    with pytest.raises(DataError, match=r"cannot read a/photo.jpg .*truncated") as caught:
        data.load(root, strict=True)
    assert "\n" not in str(caught.value)


def test_a_class_whose_images_are_all_broken(make_folder):
    root = make_folder({"a": 6, "b": 0})
    (root / "b" / "x.png").write_text("text")
    with pytest.raises(DataError, match=r"no readable image of class b .*b/x\.png \(not an image"):
        data.load(root)


def test_mostly_broken(make_folder):
    root = make_folder({"a": 1, "b": 1})
    for number in range(3):
        (root / "a" / f"x{number}.png").write_text("text")
    with pytest.raises(DataError, match=r"3 of 5 images .* cannot be read"):
        data.load(root)


@pytest.mark.parametrize(
    "folders, message",
    [
        ({"only": 3}, "one class only, only"),
        ({"a": 3, "b": 0}, "no images in the class folder b"),
        ({}, "no images in"),
        ({"test/a": 3, "test/b": 3}, "has test but no train folder"),
        (
            {"train/a": 3, "train/b": 3, "val/a": 1, "val/c": 1},
            r"\(val\) has classes that the training images lack: c; the training classes are a, b",
        ),
        ({"a": 1, "b": 1}, "one image per class"),
    ],
)
def test_folders_that_cannot_be_trained_on(make_folder, tmp_path, folders, message):
    root = make_folder(folders)
    root.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=message) as caught:
        data.load(root)
    assert "\n" not in str(caught.value) and "pets" in str(caught.value)


def test_a_missing_path_with_near_matches(make_folder):
    root = make_folder({"a": 2, "b": 2})
    with pytest.raises(DataError, match=r"does not exist; did you mean .*pets\?"):
        data.load(root.parent / "pet")
    with pytest.raises(DataError, match=r"mnits does not exist; did you mean mnist"):
        data.load("mnits")
    with pytest.raises(DataError, match=r"give a folder, a .zip or one of digits"):
        data.load(root.parent / "zzzzzzzzzzzzzzzzzzzzzzzzz" / "qqqq")


def test_a_zip_entry_that_climbs_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("../x.png", b"")
    with pytest.raises(DataError, match="climbs out"):
        data.load(tmp_path / "x.zip")


def test_size_and_channels_are_the_callers(make_folder):
    root = make_folder({"a": 3, "b": 3})
    assert data.load(root, image_size=16, channels=1).image_shape == (16, 16, 1)
    assert data.load(root, image_size=(10, 12)).image_shape == (10, 12, 3)


def test_the_training_images_decide_size_and_channels(make_folder, save_image):
    root = make_folder({"train/a": 3, "train/b": 3}, mode="L")
    for label in "ab":
        save_image(root / "test" / label / "0.png", size=(30, 20))
    splits = data.load(root)
    assert splits.image_shape == splits.test.image_shape == (8, 8, 1)


def test_mixed_sizes_become_64(make_folder, save_image):
    root = make_folder({"a": 3, "b": 3})
    save_image(root / "b" / "photo.jpg", size=(300, 200))
    assert data.load(root).image_shape == (64, 64, 3)


@pytest.mark.parametrize("pack", [lambda root: root, zipped], ids=["folder", "zip"])
def test_a_set_larger_than_the_limit_is_decoded_on_access(make_folder, pack):
    source = pack(make_folder({"train/a": 8, "train/b": 8, "test/a": 2, "test/b": 2}))
    eager = data.load(source)
    lazy = data.load(source, memory_limit=16 * 8 * 8 * 3)  # the training images just fit
    assert not lazy.train.lazy and lazy.test.lazy
    lazy = data.load(source, memory_limit=0)
    assert lazy.train.lazy and lazy.val.lazy
    for part in ("train", "val", "test"):
        same(getattr(eager, part), getattr(lazy, part))
    assert eager.train.mean_std() == lazy.train.mean_std()
    for (x, y), (u, v) in zip(
        data.DataLoader(eager.train, 5, shuffle=True, seed=1),
        data.DataLoader(lazy.train, 5, shuffle=True, seed=1),
        strict=True,
    ):
        np.testing.assert_array_equal(x.numpy(), u.numpy())
        np.testing.assert_array_equal(y.numpy(), v.numpy())


def test_progress_counts_all_parts(make_folder):
    seen = []
    data.load(
        make_folder({"train/a": 3, "train/b": 3, "test/a": 2}),
        progress=lambda *args: seen.append(args),
    )
    assert seen == [("decode", 6, 8), ("decode", 8, 8)]


@pytest.mark.parametrize("settings", [{"channels": 2}, {"image_size": 0}, {"val_fraction": 1.5}])
def test_impossible_settings(make_folder, settings):
    with pytest.raises(ConfigError):
        data.load(make_folder({"a": 3, "b": 3}), **settings)


def split_of(source: Path, split: str = "test", classes=("a", "b", "c")) -> data.ImageDataset:
    return data.load_split(source, split, classes=classes, image_size=8, channels=3)


def test_load_split_numbers_labels_as_the_model_does(make_folder):
    root = make_folder({"train/a": 3, "train/c": 3, "test/c": 2})
    assert split_of(root).labels.tolist() == [2, 2]
    assert split_of(root, "train").labels.tolist() == [0, 0, 0, 2, 2, 2]
    with pytest.raises(DataError, match="has no val folder; it has test, train"):
        split_of(root, "val")


def test_load_split_takes_an_undivided_folder_whole(make_folder):
    part = split_of(make_folder({"c": 2}))
    assert part.labels.tolist() == [2, 2] and part.classes == ("a", "b", "c")


def test_load_split_checks_classes_before_it_downloads(monkeypatch):
    monkeypatch.setattr("chainrule.data.loading.read_named", None)
    with pytest.raises(DataError, match="mnist has classes that the training images lack"):
        data.load_split("mnist", classes=("cat", "dog"), image_size=8, channels=1)


def test_load_split_checks_classes(make_folder):
    with pytest.raises(DataError, match="lack: zebra; the training classes are a, b, c"):
        split_of(make_folder({"a": 1, "zebra": 1}))


def test_load_split_names_what_it_skips(make_folder):
    root = make_folder({"a": 3})
    (root / "a" / "x.png").write_text("text")
    assert [item.name for item in split_of(root).skipped] == ["a/x.png"]


def test_load_image_is_the_path_of_datasets(make_folder):
    root = make_folder({"a": 3, "b": 3}, size=(40, 30))
    splits = data.load_split(root, classes=("a", "b"), image_size=16, channels=1)
    image = data.load_image(root / "a" / "0.png", image_size=16, channels=1)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, splits.images[0])
    assert data.load_image(str(root / "a" / "0.png")).shape == (30, 40, 3)


def test_load_image_errors(tmp_path):
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(DataError, match=r"cannot read the image .*text\.png: not an image file"):
        data.load_image(tmp_path / "text.png", 8, 3)
    with pytest.raises(DataError, match=r"there is no image .*; did you mean .*text\.png\?"):
        data.load_image(tmp_path / "texts.png", 8, 3)
    with pytest.raises(DataError, match="is a folder; name an image file"):
        data.load_image(tmp_path, 8, 3)
    (tmp_path / "link.png").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"no image \S+link\.png$"):
        data.load_image(tmp_path / "link.png", 8, 3)


def test_hidden_files_do_not_disturb(make_folder):
    root = make_folder({"a": 3, "b": 3, ".cache": 2, "__MACOSX": 1})
    (root / "a" / "Thumbs.db").write_bytes(b"")
    (root / "b" / "._0.png").write_bytes(b"")
    splits = data.load(root)
    assert splits.classes == ("a", "b") and splits.skipped == () and splits.ignored == 0


@pytest.mark.slow
def test_real_cifar_zip(real_data):
    path = real_data / "cifar10-jpg.zip"
    if not path.is_file():
        pytest.skip(f"no cifar10-jpg.zip in {real_data}")
    part = data.load_split(
        path, classes=data.DATASETS["cifar10"].classes, image_size=32, channels=3
    )
    assert np.bincount(part.labels).tolist() == [1000] * 10 and part.skipped == ()
    with zipfile.ZipFile(path) as archive:
        last = Image.open(io.BytesIO(archive.read("test/truck/0999.jpg")))
    np.testing.assert_array_equal(part.images[-1], np.asarray(last))
