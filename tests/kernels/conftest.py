"""Tiers as a fixture; native counts once for each instruction set that this processor has."""

from collections.abc import Iterator
from types import ModuleType

import pytest

from chainrule import kernels
from chainrule.kernels import naive, reference


@pytest.hookimpl(trylast=True)  # each case on every tier, and then the next case
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "tier" in metafunc.fixturenames:
        metafunc.parametrize("tier", tiers(metafunc.config), indirect=True)


def tiers(config: pytest.Config) -> list[str]:
    others = [] if config.getoption("--sanitized") else ["reference"]
    if kernels.describe().get("native_absent"):
        return [*others, "native"]
    from chainrule.kernels import native

    return [*others, *(f"native-{name}" for name in native.instruction_sets())]


@pytest.fixture(scope="session")
def defining(pytestconfig: pytest.Config) -> ModuleType:
    """The tier whose float64 results are the truth; under sanitizers loops in Python take long."""
    return reference if pytestconfig.getoption("--sanitized") else naive


@pytest.fixture
def tier(request: pytest.FixtureRequest) -> Iterator[str]:
    name, _, instruction_set = request.param.partition("-")
    absent = kernels.describe().get("native_absent")
    if name == "native" and absent:
        pytest.skip(f"native kernels are absent: {absent}")
    with kernels.use(name):
        if instruction_set:
            from chainrule.kernels import native

            before = native.instruction_set()
            native.choose_instruction_set(instruction_set)
        yield request.param
        if instruction_set:
            native.choose_instruction_set(before)
