"""Every test starts from the same seed."""

import pytest

import chainrule as cr


@pytest.fixture(autouse=True)
def seed():
    cr.manual_seed(0)
