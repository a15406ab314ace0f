"""What all tests share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import chainrule as cr


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-parity",
        action="store_true",
        help="fail where PyTorch is missing, instead of skipping the tests against it",
    )
    parser.addoption(
        "--sanitized",
        action="store_true",
        help="kernels are watched by sanitizers: run the native ones only, against the reference",
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("--require-parity"):
        try:
            import torch  # noqa: F401
        except ImportError as error:
            pytest.exit(f"--require-parity: {error}; pip install '.[parity]'", returncode=1)


def pytest_collection_finish() -> None:
    gc.freeze()  # tests by the ten thousand: no collection of garbage looks through them again


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Every test starts from the same random numbers, with recording on."""
    cr.manual_seed(0)
    yield
    assert cr.is_grad_enabled(), "a test left recording switched off"
