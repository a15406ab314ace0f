"""`chainrule bench`: what it prints, writes and refuses."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import chainrule as cr
from chainrule import kernels
from chainrule.bench import run as bench_run
from chainrule.bench.report import busy, group_table
from chainrule.bench.result import Result, Row
from chainrule.cli.main import run
from chainrule.errors import DataError

SHORT = ["--rounds", "1", "--quick", "--threads", "1"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    cr.set_num_threads(cr.threads.available_cpus())


@pytest.fixture
def refused(capsys):
    """Call a command that must fail: exit code 2 and one line, which is returned."""

    def call(*arguments):
        assert run(["bench", *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("chainrule: error: "), error
        assert error.count("\n") == 1, error
        return error

    return call


def result_of(*rows):
    """A result that was not measured."""
    machine = {
        "chainrule": "0", "cpu": "a processor", "cpus": 2, "load": 0.1,
        "packages": {"numpy": "2", "torch": "2"},
        "kernels": {"tier": "native", "instruction_set": "avx2"},
    }  # fmt: skip
    return Result(machine, 2, False, {"avx2": {"1": 50.0, "2": 100.0}}, list(rows), True)


def row(name, ours=1.0, theirs=2.0, operations=None):
    values = {"chainrule": ours, "torch": 9.0, "torch channels_last": theirs}
    return Row(
        name, name.partition("/")[2], "ms", values, "torch channels_last", ours / theirs,
        (0.4, 0.6), 3, operations, "avx2",
    )  # fmt: skip


def printed(result, group):
    from rich.console import Console

    console = Console(width=150)
    with console.capture() as capture:
        console.print(group_table(result, group))
    return capture.get()


# -- what it does --------------------------------------------------------------------------------


def test_a_case_is_printed_and_written(capsys):
    assert run(["bench", "kernels/relu-200", "overhead/add", *SHORT, "--json", "r.json"]) == 0
    out = capsys.readouterr().out
    assert "kernels, ms" in out
    assert "relu 200x100" in out
    assert "add, forward and backward" in out
    facts = json.loads(Path("r.json").read_text())
    assert facts["schema"] == 1
    assert facts["complete"] is True
    assert facts["threads"] == 1
    assert facts["machine"]["cpu"]
    assert facts["machine"]["packages"]["numpy"]
    relu, add = facts["rows"]
    assert (relu["name"], relu["unit"]) == ("kernels/relu-200x100", "ms")
    assert relu["values"]["chainrule"] > 0
    assert relu["rounds"] == 1
    assert (add["name"], add["unit"]) == ("overhead/add", "µs per op")
    if facts["machine"]["packages"]["torch"]:
        assert relu["peer"] == "torch"
        assert relu["ratio"] == pytest.approx(relu["values"]["chainrule"] / relu["values"]["torch"])
        assert facts["summary"]["least_speed"] == pytest.approx(1 / relu["ratio"])


@pytest.mark.skipif(kernels.tier() != "native", reason="native kernels are absent")
def test_an_instruction_set_can_be_chosen():
    from chainrule.kernels import native

    before = native.instruction_set()
    try:
        command = ["bench", "kernels/relu-200", *SHORT, "--isa", "portable", "--json", "r.json"]
        assert run(command) == 0
    finally:
        native.choose_instruction_set(before)
    result = Result.load(Path("r.json"))
    assert result.rows[0].instruction_set == "portable"
    assert result.machine["kernels"]["instruction_set"] == "portable"


def test_it_works_without_pytorch_and_says_how_to_compare():
    code = (
        "import sys; sys.modules['torch'] = None\n"  # makes every import of it fail
        "from chainrule.cli.main import main\n"
        f"main(['bench', 'training/mlp', 'kernels/relu-200', 'import', *{SHORT}])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "no PyTorch" in done.stdout
    assert "pip install torch" in done.stdout
    assert "mlp, batch 200" in done.stdout
    assert "ratio" not in done.stdout
    assert "speed" not in done.stdout


def test_ctrl_c_keeps_what_was_measured(monkeypatch, capsys):
    measure = bench_run.measure

    def until_the_second(case, settings):
        if case.name == "overhead/mul":
            signal.raise_signal(signal.SIGINT)
        return measure(case, settings)

    monkeypatch.setattr(bench_run, "measure", until_the_second)
    assert run(["bench", "overhead", *SHORT, "--json", "r.json"]) == 130
    captured = capsys.readouterr()
    assert "add, forward and backward" in captured.out
    assert "mul, forward" not in captured.out
    assert "interrupted" in captured.err
    result = Result.load(Path("r.json"))
    assert [r.name for r in result.rows] == ["overhead/add"]
    assert not result.complete
    assert run(["bench", "--from", "r.json"]) == 0
    assert "interrupted" in capsys.readouterr().out.splitlines()[0]


def test_names_can_be_listed(capsys):
    assert run(["bench", "--list", "training"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["training/lenet5", "training/mlp"]


def test_tiers(monkeypatch, capsys):
    from chainrule.bench import tiers

    rows = list(tiers.compare_tiers(scale=0.02))
    monkeypatch.setattr(tiers, "compare_tiers", lambda: iter(rows))
    assert run(["bench", "--tiers", "--json", "t.json"]) == 0
    out = capsys.readouterr().out
    assert "SVM loss and its gradient" in out
    assert "kernels/naive.py" in out
    assert [r["tier"] for r in json.loads(Path("t.json").read_text())["tiers"]] == [
        r.tier for r in rows
    ]


# -- results -------------------------------------------------------------------------------------


def test_a_result_comes_back_as_it_was_saved(tmp_path):
    saved = result_of(row("training/mlp"), row("kernels/conv2d-1", operations=1e8))
    saved.save(tmp_path / "r.json")
    assert Result.load(tmp_path / "r.json") == saved


def test_the_summary_lists_what_is_slow():
    found = result_of(row("kernels/a", 1, 4), row("kernels/b", 2, 1), row("training/c", 9, 1))
    assert found.summary() == {
        "kernels": 2,
        "geometric_mean_speed": pytest.approx(2**0.5),
        "least_speed": 0.5,
        "slower_than_0.9": {"kernels/b": 0.5},
    }


def test_kernels_are_set_against_the_peak():
    text = printed(result_of(row("kernels/conv", 2.0, 4.0, operations=1.6e8)), "kernels")
    assert text.splitlines()[1].split() == [
        "conv",
        "2.00",
        "9.00",
        "4.00",
        "80",
        "40",
        "2.00",
        "80%",
    ]


def test_steps_show_every_side():
    text = printed(result_of(row("training/mlp", 3.0, 4.0)), "training")
    assert text.splitlines()[1].split() == ["mlp", "3.00", "9.00", "4.00", "0.75", "0.40-0.60"]


def test_what_is_measured_once_has_no_middle_half():
    memory = Row("memory/mlp", "mlp", "MB", {"chainrule": 1.0, "torch": 4.0}, "torch", 0.25)
    text = printed(result_of(memory), "memory")
    assert "middle half" not in text
    assert text.splitlines()[1].split() == ["mlp", "1.00", "4.00", "0.25"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1}', "\x00"])
def test_another_file_is_no_result(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(DataError, match=r"r\.json: is no result of chainrule bench"):
        Result.load(tmp_path / "r.json")


def test_a_result_of_another_schema(tmp_path):
    (tmp_path / "r.json").write_text('{"schema": 99}')
    with pytest.raises(DataError, match="has schema 99; this reads 1"):
        Result.load(tmp_path / "r.json")


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs the extra chainrule[plot]")
def test_a_picture_is_drawn(tmp_path):
    rows = [row("training/mlp"), row("inference/mlp-1"), row("kernels/conv", operations=1e8)]
    result_of(*rows).save(tmp_path / "r.json")
    assert run(["bench", "--from", "r.json", "--plot", "r.png"]) == 0
    assert Path("r.png").read_bytes().startswith(b"\x89PNG")


def test_other_work_on_the_machine_is_told():
    quiet, loud = result_of(), result_of()
    loud.machine["load"] = 3.14
    assert busy(quiet) is None
    assert "other work is running here (load 3.1)" in busy(loud)


# -- what it refuses -----------------------------------------------------------------------------


def test_bad_input(refused, tmp_path):
    assert "no case is called 'vgg19'" in refused("vgg19")
    assert "0 is not in the range x>=1" in refused("--threads", 0)
    assert "0 is not in the range x>=1" in refused("--rounds", 0)
    assert "'sse9'" in refused("--isa", "sse9")
    assert "there is no folder absent" in refused("--json", "absent/r.json")
    assert "is a folder" in refused("--json", tmp_path)
    assert "--plot draws .png, .svg, .pdf, not r.txt" in refused("--plot", "r.txt")
    assert "--tiers goes with" in refused("--tiers", "training")
    assert "--from goes with" in refused("--from", "r.json", "training")
    assert "absent.json" in refused("--from", "absent.json")


@pytest.mark.skipif(find_spec("matplotlib") is not None, reason="matplotlib is installed")
def test_a_plot_needs_its_extra(refused):
    assert "pip install 'chainrule[plot]'" in refused("--plot", "r.png")
