"""Does Winograd's larger tile train as well? ``python -m benchmarks.convergence DATA``.

    python -m benchmarks.convergence cifar10-jpg.zip --json benchmarks/results/convergence.json

F(4x4, 3x3) rounds its products more coarsely than direct convolution. Whether that matters is
no question of one layer's error but of where training ends: the same recipe is run with each
setting of CHAINRULE_WINOGRAD for several seeds, and the test accuracies are compared. The
same seed means the same first weights, batches and augmentation.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SETTINGS = ("off", "2", "4")


def train(data: str, model: str, epochs: int, setting: str, seed: int) -> dict[str, Any]:
    """Train in a process of its own and return what matters of the run's summary."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "chainrule", "train", data, "--model", model]
        command += ["--epochs", str(epochs), "--seed", str(seed), "--out", str(out)]
        environment = {**os.environ, "CHAINRULE_WINOGRAD": setting}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        summary = json.loads((out / "summary.json").read_text())
    return {"seed": seed, "test_accuracy": summary["test_accuracy"]}


def compare(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Mean and standard error of each setting, and of its difference to the first, in percent.

    Differences are taken seed by seed: with the same seed, most of the luck is the same.
    """
    settings = list(runs)
    accuracy = {s: [100 * run["test_accuracy"] for run in runs[s]] for s in settings}
    result: dict[str, Any] = {}
    for s in settings:
        differences = [a - b for a, b in zip(accuracy[s], accuracy[settings[0]], strict=True)]
        result[s] = {
            "mean": statistics.mean(accuracy[s]),
            "difference": statistics.mean(differences),
            "standard_error": _standard_error(differences),
        }
    return result


def _standard_error(values: list[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def main() -> None:
    """Run all trainings, print a table, write the JSON file after each run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.convergence", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("data", help="data set, folder or zip, as for `chainrule train`")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=["2", "4"])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()

    runs: dict[str, list[dict[str, Any]]] = {s: [] for s in options.settings}
    for seed in options.seeds:
        for setting in options.settings:
            run = train(options.data, options.model, options.epochs, setting, seed)
            runs[setting].append(run)
            print(f"winograd {setting:3s} seed {seed}  test {run['test_accuracy']:.2%}", flush=True)
    result = {
        "model": options.model,
        "epochs": options.epochs,
        "data": Path(options.data).name,
        "runs": runs,
        "compared": compare(runs),
    }
    for setting, figures in result["compared"].items():
        print(
            f"winograd {setting:3s} mean {figures['mean']:.2f} %  against {options.settings[0]}: "
            f"{figures['difference']:+.2f} ± {figures['standard_error']:.2f}"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
