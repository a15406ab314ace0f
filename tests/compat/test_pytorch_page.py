"""docs/pytorch.md tells the truth: what it calls supported is here, what absent says its hint."""

import importlib.util
import re
from pathlib import Path

import pytest

import chainrule
import chainrule.nn
from chainrule.errors import ChainruleError

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "pytorch.md").read_text(encoding="utf-8")
ROOMS = dict(re.findall(r"^## (torch\S*)\n(.*?)(?=^## |\Z)", TEXT, re.S | re.M))


def ours(room):
    owner = chainrule
    for part in room.split(".")[1:]:
        owner = getattr(owner, part)
    return owner


def names(text):
    return re.findall(r"`(\w+)`", text)


def rows(room, title):
    """(names, text) of each row of the table whose first column has this title."""
    table = re.search(rf"^\| {title} \|.*\n\|---\|---\|\n((?:\|.*\n?)*)", ROOMS[room], re.M)
    return re.findall(r"^\| (.*?) \| (.*) \|$", table[1], re.M) if table else []


def test_the_page_has_every_room():
    assert {"torch", "torch.Tensor", "torch.nn", "torch.nn.functional"} <= ROOMS.keys()
    assert all("Supported: `" in text for text in ROOMS.values())


@pytest.mark.parametrize("room", ROOMS)
def test_supported_and_differing_names_are_here(room):
    supported = names(re.search(r"^Supported: (.*)\.$", ROOMS[room], re.M)[1])
    differing = [name for name, _ in rows(room, "differing")]
    for name in (*supported, *names(" ".join(differing))):
        assert hasattr(ours(room), name), name


@pytest.mark.parametrize("room", ROOMS)
def test_absent_names_say_what_to_use_instead(room):
    owner = ours(room)
    if room in ("torch.Tensor", "torch.nn.Module"):
        owner = chainrule.ones(1) if room == "torch.Tensor" else chainrule.nn.ReLU()
    for listed, hint in rows(room, "absent"):
        for name in names(listed):
            with pytest.raises((AttributeError, ChainruleError)) as error:
                getattr(owner, name)
            assert hint and hint in str(error.value), name


@pytest.mark.parametrize("room", ROOMS)
def test_the_counts_are_those_of_the_lists(room):
    supported = names(re.search(r"^Supported: (.*)\.$", ROOMS[room], re.M)[1])
    absent = [name for listed, _ in rows(room, "absent") for name in names(listed)]
    counts = (len(supported), len(rows(room, "differing")), len(absent))
    assert f"| {room} | {counts[0]} | {counts[1]} | {counts[2]} |\n" in TEXT


@pytest.mark.parity
def test_the_page_is_what_the_script_writes():
    pytest.importorskip("torch", reason="parity needs: pip install 'chainrule[parity]'")
    spec = importlib.util.spec_from_file_location("pytorch_names", DOCS / "pytorch_names.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.page() == TEXT, "run: python docs/pytorch_names.py"
