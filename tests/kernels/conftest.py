"""Tiers as a fixture; native counts once for each instruction set that this processor has."""

from collections.abc import Iterator

import pytest

from chainrule import kernels


def tiers() -> list[str]:
    if kernels.describe().get("native_absent"):
        return ["reference", "native"]
    from chainrule.kernels import native

    return ["reference", *(f"native-{name}" for name in native.instruction_sets())]


@pytest.fixture(params=tiers())
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
