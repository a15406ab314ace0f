"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import chainrule as cr


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-parity",
        action="store_true",
        help="fail where PyTorch is missing, instead of skipping the tests against it",
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("--require-parity"):
        try:
            import torch  # noqa: F401
        except ImportError as error:
            pytest.exit(f"--require-parity: {error}; pip install '.[parity]'", returncode=1)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Every test starts from the same random numbers, with recording on."""
    cr.manual_seed(0)
    yield
    assert cr.is_grad_enabled(), "a test left recording switched off"
