"""What the documentation shows is run: its Python blocks, page by page, in order."""

import inspect
import re
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from chainrule.models import registry

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Illustrations that are not whole programs.
FRAGMENTS = ("    ...\n",)


def blocks(page: Path) -> list[str]:
    found = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    return [b for b in found if not any(f in b for f in FRAGMENTS)]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_python_blocks_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))  # a page may add its own
    names: dict[str, object] = {}
    for block in blocks(page):
        # fewer epochs: the point here is that the lines work
        exec(compile(re.sub(r"epochs=\d+|range\(5\)", _fewer, block), str(page), "exec"), names)
    assert names, "nothing ran"


def _fewer(match: re.Match[str]) -> str:
    return "epochs=1" if match[0].startswith("epochs") else "range(1)"


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "derivations").glob("*.md"))],
    ids=lambda p: p.name,
)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to missing {target}"


def test_every_page_is_found_from_the_readme() -> None:
    found, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page not in found and page.suffix == ".md":
            found.add(page)
            for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
                if "://" not in target:
                    todo.append((page.parent / target).resolve())
    assert set(ROOT.glob("docs/**/*.md")) - found == set()


@pytest.mark.parametrize(
    "room",
    ["", ".autograd", ".autograd.functional",
     pytest.param(".classifiers", marks=pytest.mark.skipif(
         find_spec("sklearn") is None, reason="needs scikit-learn: chainrule[classic]")),
     ".data", ".export", ".func", ".inspect", ".linalg",
     ".models",
     ".nn", ".nn.filters", ".nn.functional", ".nn.init", ".nn.utils", ".nn.utils.parametrize",
     ".optim", ".optim.lr_scheduler", ".Tensor", ".utils.checkpoint", ".viz"],
)  # fmt: skip
def test_every_public_name_is_documented(room: str) -> None:
    with suppress(ModuleNotFoundError):  # a class is no module, and not every module is loaded
        import_module(f"chainrule{room}")
    owner = import_module("chainrule")
    for name in room.split(".")[1:]:
        owner = getattr(owner, name)
    found = {n: getattr(owner, n) for n in dir(owner) if not n.startswith("_")}
    ours = {
        n: x
        for n, x in found.items()
        if callable(x) and (getattr(x, "__module__", None) or "").startswith("chainrule")
    }
    assert ours
    assert [n for n, x in ours.items() if not _own_docstring(x)] == []


def _own_docstring(x: object) -> str | None:
    """A class inherits its base's, which tells nothing of it."""
    return vars(x).get("__doc__") if inspect.isclass(x) else inspect.getdoc(x)


def test_the_picture_of_schedules_shows_all_of_them() -> None:
    from chainrule.optim import lr_scheduler

    text = (ROOT / "docs" / "schedules.py").read_text(encoding="utf-8")
    named = set(re.findall(r"\bs\.(\w+)\(", text))
    others = {"LRScheduler", "_LRScheduler", "EPOCH_DEPRECATION_WARNING"}
    assert set(lr_scheduler.__all__) - others <= named


def test_ci_finds_both_setup_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for n in (1, 2):
        assert re.search(rf"<!-- set-up {n} -->\n```sh\n[^\n]+\n```", readme), f"set-up {n}"
