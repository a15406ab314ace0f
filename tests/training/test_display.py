"""Which display is chosen, and what the displays say."""

import pytest
import rich.console

from chainrule.training import EpochMetrics
from chainrule.training import display as display_module
from chainrule.training.display import (
    HEADER,
    Display,
    LiveDisplay,
    PlainDisplay,
    choose_display,
    epoch_line,
)


@pytest.fixture
def console(monkeypatch):
    """Say whether there is a terminal, a notebook, and ipywidgets."""

    def pretend(terminal, jupyter, widgets=True):
        kind = rich.console.Console
        monkeypatch.setattr(kind, "is_terminal", property(lambda self: terminal))
        monkeypatch.setattr(
            rich.console, "Console", lambda **options: kind(force_jupyter=jupyter, **options)
        )
        monkeypatch.setattr(display_module, "find_spec", lambda name: widgets or None)

    return pretend


@pytest.mark.parametrize(
    ("terminal", "jupyter", "widgets", "kind"),
    [
        (True, False, False, LiveDisplay),
        (False, False, True, PlainDisplay),
        (False, True, True, LiveDisplay),
        (False, True, False, PlainDisplay),
    ],
)
def test_live_on_a_terminal_and_in_a_notebook_that_can(console, terminal, jupyter, widgets, kind):
    console(terminal, jupyter, widgets)
    assert type(choose_display(True)) is kind


def test_nothing_or_ones_own():
    assert type(choose_display(False)) is Display
    own = PlainDisplay()
    assert choose_display(own) is own


def test_columns_stand_under_their_headings():
    metrics = EpochMetrics(7, 700, 1e-5, 12.3456789, 1.0, 0.5, 0.9876, 1.5, 123456.7)
    line = epoch_line(metrics, 100)
    assert len(line) == len(HEADER)
    assert line.split() == [
        "7/100", "12.3457", "100.0%", "0.5000", "98.8%", "1e-05", "123,457",
    ]  # fmt: skip
