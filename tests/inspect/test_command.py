"""`chainrule summary`: the table, its widths, JSON and the figure."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from chainrule import inspect, models, nn
from chainrule.cli.main import run
from chainrule.errors import ConfigError, MissingExtraError
from chainrule.inspect.plot import MOST_BARS, bars_of
from chainrule.inspect.table import short
from chainrule.training.checkpoint import Checkpoint, save_checkpoint


def refused(capsys: Any, *arguments: object) -> str:
    assert run(["summary", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("chainrule: error: ")
    return captured.err


def test_the_table_of_lenet(capsys: Any) -> None:
    assert run(["summary", "lenet5"]) == 0
    text = capsys.readouterr().out
    line = next(line for line in text.splitlines() if line.startswith("conv2"))
    assert line.split() == [
        "conv2", "conv2d", "16x10x10", "2.42k", "240k", "482k", "480k", "482k", "4.70k", "14",
        "2", "2",
    ]  # fmt: skip
    assert "params   61,706 (all trained), 247 kB" in text
    assert "forward  417k MACs; 851k FLOPs" in text
    assert "5 layers deep, 7 with pooling" in text


def test_the_page_shows_the_table_as_it_is() -> None:
    page = Path(__file__).parents[2] / "docs" / "accounts.md"
    table = inspect.summary(models.lenet5()).table(80).partition("\n\nlenet5")[0]
    assert f"```\n{table}\n```" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("name", ["resnet20", "fcn_resnet20", "lenet5"])
def test_the_table_fits(name: str, width: int) -> None:
    if name not in models.list():
        pytest.skip(f"{name} is not registered")
    for classes in (False, True):
        s = inspect.summary(models.create(name))
        table, _, notes = s.table(width, classes=classes).partition("\ntotal")
        lines = table.splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) >= len(s.rows) + 3
        assert not any("…" in line[width // 3 :] for line in lines)  # no number is cut
        assert "FLOPs" in notes


def test_classes_and_depth(capsys: Any) -> None:
    assert run(["summary", "resnet20", "--classes", "--depth", "1"]) == 0
    text = capsys.readouterr().out
    assert "layer2 Sequential" in text
    assert "layer2.0" not in text


def test_json(capsys: Any) -> None:
    assert run(["summary", "resnet20", "--json", "--batch", "3", "--input", "3x48x40"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["inputs"] == [[3, 3, 48, 40]]
    assert facts["params"] == 269_722
    assert facts["macs"] == sum(row["macs"] for row in facts["rows"])
    assert facts["rows"][0]["jump"] == [1.0, 1.0]
    assert facts["unknown"] == {}


def test_images_with_one_channel_make_a_model_for_one(capsys: Any) -> None:
    assert run(["summary", "lenet5", "--input", "1x32x32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["params"] == 61_706
    assert run(["summary", "resnet20", "--input", "1x28x28", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["params"] == 269_722 - 2 * 16 * 9


def test_a_model_by_its_other_name(capsys: Any) -> None:
    assert run(["summary", "two-layer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "two_layer_net"


def test_a_file_says_what_its_images_are(capsys: Any, tmp_path: Path) -> None:
    model = models.lenet5(num_classes=4, in_channels=3, image_size=20)
    file = tmp_path / "model.safetensors"
    checkpoint = Checkpoint(model, tuple("abcd"), (0.5,) * 3, (0.5,) * 3, (20, 20), 3)
    save_checkpoint(file, checkpoint)
    assert run(["summary", str(file), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["inputs"] == [[1, 3, 20, 20]]
    assert facts["params"] == sum(p.numel() for p in model.parameters())


def test_weights_in_the_package_and_in_a_folder(capsys: Any, tmp_path: Path) -> None:
    assert run(["summary", "mnist", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "lenet5"
    models.save_pretrained(models.resnet20(num_classes=3), tmp_path, image_size=(24, 40))
    assert run(["summary", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inputs"] == [[1, 3, 24, 40]]


def test_refusals(capsys: Any, tmp_path: Path) -> None:
    models.save_pretrained(models.resnet20(), tmp_path / "rgb")
    assert "did you mean lenet5?" in refused(capsys, "lenet")
    assert "did you mean resnet" in refused(capsys, "resnet*")
    assert "absent.pth is no file" in refused(capsys, "absent.pth")
    assert "'3y32' is no shape of an image" in refused(capsys, "resnet20", "--input", "3y32")
    assert "'32x32' is no shape of an image" in refused(capsys, "lenet5", "--input", "32x32")
    assert "given (1, 1, 32, 32)" in refused(capsys, tmp_path / "rgb", "--input", "1x32x32")
    assert "0 is not in the range x>=1" in refused(capsys, "resnet20", "--batch", 0)
    assert "holds neither" in refused(capsys, tmp_path)
    assert "a knn has no layers to count" in refused(capsys, "knn")


def test_numbers_are_short() -> None:
    numbers = (0, 999, 1000, 12_345, 999_499, 999_999, 1_234_567, 15_470_264_320, None)
    assert [short(n) for n in numbers] == [
        "0", "999", "1.00k", "12.3k", "999k", "1.00M", "1.23M", "15.5G", "?",
    ]  # fmt: skip
    assert short(1_525_376, "B") == "1.53 MB"


# -- the figure ------------------------------------------------------------------------------------


def test_a_bar_for_each_layer_and_nothing_is_lost() -> None:
    s = inspect.summary(models.lenet5())
    bars = bars_of(s)
    assert [b.name for b in bars] == ["conv1", "pool", "conv2", "pool", "fc1", "fc2", "fc3"]
    assert sum(b.kept for b in bars) == s.total_kept
    assert sum(b.params for b in bars) == s.total_params
    assert sum(b.flops for b in bars) == s.total_flops


def test_many_layers_are_drawn_by_module() -> None:
    blocks = [nn.Sequential(*(nn.Conv2d(2, 2, 1) for _ in range(9))) for _ in range(9)]
    s = inspect.summary(nn.Sequential(*blocks), (2, 4, 4))
    bars = bars_of(s)
    assert [b.name for b in bars] == list("012345678")
    assert len(bars) <= MOST_BARS
    assert sum(b.params for b in bars) == s.total_params


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs the extra chainrule[plot]")
@pytest.mark.parametrize("name", ["figure.png", "figure.svg"])
def test_the_figure_is_drawn(capsys: Any, tmp_path: Path, name: str) -> None:
    assert run(["summary", "lenet5", "--plot", str(tmp_path / name)]) == 0
    assert f"figure   {tmp_path / name}" in capsys.readouterr().out
    start = (tmp_path / name).read_bytes()[:6]
    assert start.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml ")


def test_another_kind_of_figure(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a figure is \.png, \.svg, \.pdf; got 'figure\.txt'"):
        inspect.summary(nn.Linear(2, 2), (2,)).plot(tmp_path / "figure.txt")


def test_a_figure_needs_its_extra(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr("chainrule.inspect.plot.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'chainrule\[plot\]'"):
        inspect.summary(nn.Linear(2, 2), (2,)).plot(tmp_path / "figure.png")
