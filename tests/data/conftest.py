import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_data_folders_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the machine has cached must not decide a test."""
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def save_image() -> Callable[..., Path]:
    """save_image(path, mode="RGB", size=(8, 8), seed=0) writes a random image (size: W, H)."""

    def save(
        path: Path,
        mode: str = "RGB",
        size: tuple[int, int] = (8, 8),
        seed: int = 0,
        **options: object,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).convert(mode).save(path, **options)
        return path

    return save


@pytest.fixture
def make_folder(tmp_path: Path, save_image: Callable[..., Path]) -> Callable[..., Path]:
    """make_folder({"cat": 3, "dog": 2}, name="pets") writes so many PNGs into each class folder."""

    def make(counts: Mapping[str, int], name: str = "pets", **options: object) -> Path:
        root = tmp_path / name
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                seed = sum(map(ord, folder)) * 100 + number
                save_image(root / folder / f"{number}.png", seed=seed, **options)
        return root

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with MNIST and CIFAR-10, for the tests that read the real files."""
    folder = Path(os.environ.get("CHAINRULE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real datasets in {folder}; name their folder in CHAINRULE_TEST_DATA")
    return folder
