"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import chainrule as cr


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Every test starts from the same random numbers, with recording on."""
    cr.manual_seed(0)
    yield
    assert cr.is_grad_enabled(), "a test left recording switched off"
