"""Small image folders that a classifier can learn, and a way to run chainrule apart."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLOURS = {"blue": (30, 40, 200), "green": (40, 180, 60), "red": (210, 50, 40)}


def make_images(
    root: Path, classes: tuple[str, ...] = ("blue", "green", "red"), count: int = 8, size: int = 12
) -> Path:
    """Class folders of noisy images whose colour gives the class away."""
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = rng.normal(0, 25, (size, size, 3))
            pixels = np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{name}{number}.png")
    return root


def environment(**extra: str) -> dict[str, str]:
    """Of a child process that finds chainrule as this one does."""
    path = os.pathsep.join(filter(None, [*sys.path]))
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", **extra}


def chainrule(
    *arguments: object, cwd: Path | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "chainrule", *map(str, arguments)],
        cwd=cwd,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=120,
    )


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
