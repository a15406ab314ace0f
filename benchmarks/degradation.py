"""Why depth failed, and what cured it: ``python -m benchmarks.degradation --data DATA``.

    python -m benchmarks.degradation --data cifar10-jpg.zip --epochs 10 \\
        --json benchmarks/results/degradation.json --figure benchmarks/results/degradation.png

A deeper network can compute whatever a shallower one does: its further layers need only pass
their input on. Yet plain networks of 56 layers end worse than those of 20, on the images they
learn from as well, so that it is the training that fails and not the generalisation. With
shortcuts, which make passing on the easiest thing to learn, depth does no harm (He et al. 2016,
arXiv:1512.03385, figure 6).

The same recipe, first batches and augmentation for all; an epoch of the deep ones takes about
three times as long. What is not known here is handed on to `chainrule train`, such as
``--data-dir files --lr 0.05``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NETWORKS = ("plain20", "plain56", "resnet20", "resnet56")
Runs = dict[str, list[dict[str, Any]]]
"""For each network what `train` returned, seed by seed."""


def train(data: str, model: str, epochs: int, seed: int, others: Sequence[str]) -> dict[str, Any]:
    """Train in a process of its own; errors (wrong images / images) of each epoch, and the test's.

    Training errors are those during the epoch, of augmented images.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "chainrule", "train", data, "--model", model]
        command += ["--epochs", str(epochs), "--seed", str(seed), "--out", str(out), *others]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return read_run(seed, out)


def read_run(seed: int, out: Path) -> dict[str, Any]:
    """What matters of a run."""
    from chainrule.training import Run

    run = Run(out)
    return {
        "seed": seed,
        "train_loss": [row["train_loss"] for row in run.history],
        "train_error": [round(1 - row["train_accuracy"], 6) for row in run.history],
        "val_error": [round(1 - row["val_accuracy"], 6) for row in run.history],
        "test_error": None if run.test_accuracy is None else round(1 - run.test_accuracy, 6),
        "seconds": run.summary["seconds"],
    }


def table(runs: Runs) -> list[str]:
    """One line for each network: its errors at the end, in percent, mean and spread over seeds."""
    lines = [f"{'':12}{'train loss':>12}{'train error':>16}{'val error':>16}{'test error':>16}"]
    for model, those in runs.items():
        loss = statistics.mean(run["train_loss"][-1] for run in those)
        cells = [
            _spread([run["train_error"][-1] for run in those]),
            _spread([run["val_error"][-1] for run in those]),
            _spread([run["test_error"] for run in those]),
        ]
        lines.append(f"{model:12}{loss:>12.4f}" + "".join(f"{cell:>16}" for cell in cells))
    return lines


def _spread(errors: Sequence[float | None]) -> str:
    known = [100 * error for error in errors if error is not None]
    if not known:
        return "-"
    mean = f"{statistics.mean(known):.2f} %"
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.2f}"


def draw(runs: Runs, path: Path, title: str) -> None:
    """Errors over epochs: plain networks on the left, residual ones on the right.

    As the paper's figure: dashed what was learnt from, in whole lines what was held out; the
    mean over the seeds.
    """
    from matplotlib.figure import Figure

    kinds = [(k, [m for m in runs if m.startswith(k)]) for k in ("plain", "resnet")]
    kinds = [(kind, models) for kind, models in kinds if models]
    figure = Figure(figsize=(5.5 * len(kinds), 4), layout="constrained")
    panels = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    for axes, (kind, models) in zip(panels, kinds, strict=True):
        _draw_errors(axes, {model: runs[model] for model in models})
        axes.set_title("plain: f(x)" if kind == "plain" else "residual: x + f(x)")
    panels[0].set_ylabel("error, %")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def _draw_errors(axes: Axes, runs: Runs) -> None:
    for colour, (model, those) in zip(("#e08a2e", "#2a6fbb"), runs.items(), strict=False):
        for what, style, width in (("train_error", "--", 1.0), ("val_error", "-", 2.0)):
            curves = zip(*(run[what] for run in those), strict=True)
            means = [100 * statistics.mean(errors) for errors in curves]
            label = model if what == "val_error" else f"{model}, training"
            epochs = range(1, len(means) + 1)
            axes.plot(epochs, means, style, color=colour, linewidth=width, label=label)
    axes.set_xlabel("epoch")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all trainings; after each the JSON file and the figure hold what there is so far."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.degradation",
        description=(__doc__ or "").split("\n")[0],
        epilog="Other options are handed on to `chainrule train`.",
    )
    parser.add_argument("--data", required=True, help="as for `chainrule train`")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--figure", type=Path, help="draw the curves: .png, .svg or .pdf")
    options, others = parser.parse_known_args(arguments)

    name = Path(options.data).name
    runs: Runs = {}
    for seed in options.seeds:
        for model in options.networks:
            run = train(options.data, model, options.epochs, seed, others)
            runs.setdefault(model, []).append(run)
            print(f"{model:9} seed {seed}  {run['seconds']:.0f} s", flush=True)
            if options.json:
                facts = {"data": name, "epochs": options.epochs, "options": others, "runs": runs}
                options.json.write_text(json.dumps(facts, indent=2) + "\n")
            if options.figure:
                draw(runs, options.figure, f"{name}, {options.epochs} epochs")
    print(*table(runs), sep="\n")


if __name__ == "__main__":
    main()
