"""Command-line tests work in a folder of their own, on pictures made for them."""

from pathlib import Path

import pytest

from tests.training.pictures import make_images


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are written below the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of class folders."""
    return make_images(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="session")
def divided_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train/ and test/."""
    root = tmp_path_factory.mktemp("data") / "divided"
    make_images(root / "train")
    make_images(root / "test", count=3)
    return root
