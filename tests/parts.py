"""Tests of several parts, where as many tests of one part each would take too long."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def part(name: str) -> Iterator[None]:
    """A failure inside says to which part of the test it belongs."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in this part of the test: {name}")
        raise
