"""A trained model for others: its weights alone, and a card that says where they come from.

    from chainrule.training import publish
    publish(["runs/seed0", "runs/seed1", "runs/seed2"], "lenet5.mnist", tag="mnist")

The folder is in the layout of `models.save_pretrained`, the card its README.md, as on the Hugging
Face hub. The weights inside the package (chainrule/models/trained) were made by this.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chainrule import models
from chainrule.errors import CheckpointError
from chainrule.models.weights import Weights
from chainrule.training.checkpoint import Checkpoint, write_atomically
from chainrule.training.config import TrainConfig, memorizes, to_dict
from chainrule.training.run import ENVIRONMENT, Run

CARD = "README.md"
_OWN_PLACES = ("data_dir", "out", "threads")  # say nothing of the recipe


def publish(
    runs: str | Path | Run | Sequence[str | Path | Run],
    folder: str | Path,
    *,
    tag: str = "",
    notes: str = "",
) -> Path:
    """Write the best weights of the first run, and a card with the results of all.

    runs: finished ones, which differ in their seeds only, or one. tag: a name for the weights;
    notes: for the card, Markdown. Returns the folder.
    Raises CheckpointError (a run that is not finished, or of another recipe; cannot be written).
    """
    several = [runs] if isinstance(runs, str | Path | Run) else runs
    opened = [run if isinstance(run, Run) else Run(run) for run in several]
    if not opened:
        raise CheckpointError("publish: name at least one run")
    for run in opened:
        if run.summary.get("status") != "finished":
            raise CheckpointError(f"publish: {run.path} is not finished; chainrule train --resume")
        if memorizes(run.config.model):
            raise CheckpointError(f"publish: {run.path} keeps images, and has no weights")
        if recipe_of(run.config) != recipe_of(opened[0].config):
            raise CheckpointError(
                f"publish: {run.path} has another recipe than {opened[0].path}; "
                "name runs that differ in their seeds only"
            )
    checkpoint = opened[0].checkpoint
    model = checkpoint.model
    model.pretrained = Weights({}, str(folder))  # nothing of weights that it began with
    path = models.save_pretrained(
        model,
        folder,
        classes=checkpoint.classes,
        mean=checkpoint.mean,
        std=checkpoint.std,
        image_size=checkpoint.image_size,
        data=_data_name(opened[0].config),
        tag=tag,
    )
    write_atomically(path / CARD, model_card(opened, checkpoint, tag, notes).encode())
    return path


def recipe_of(config: TrainConfig) -> dict[str, Any]:
    """The settings that are not of one machine or one seed."""
    settings = to_dict(replace(config, data=_data_name(config)))
    return {name: v for name, v in settings.items() if name not in (*_OWN_PLACES, "seed")}


def _data_name(config: TrainConfig) -> str:
    """A data set's name, or of a path the last part."""
    return Path(config.data).name


# -- the card ------------------------------------------------------------------------------------


def model_card(runs: Sequence[Run], checkpoint: Checkpoint, tag: str, notes: str = "") -> str:
    """Recipe, data, seeds, results and time of runs, in Markdown; the first one's weights ship."""
    config, summary = runs[0].config, runs[0].summary
    count = sum(p.numel() for p in checkpoint.model.parameters())
    name = f"{config.model}.{tag}" if tag else config.model
    lines = [
        "---",
        "license: apache-2.0",
        "library_name: chainrule",
        "pipeline_tag: image-classification",
        "---",
        "",
        f"# {name}",
        "",
        f"{models.entry(config.model).summary} Trained on {_data_name(config)}; "
        f"{count:,} parameters, float32.",
        "",
        *_use(config, tag),
        "## Results",
        "",
        f"The weights here are those of seed {config.seed}. The epoch was chosen by the "
        f"validation images; {_tested(runs)}.",
        "",
        *_results(runs),
        "",
        "## Data",
        "",
        f"{_data_name(config)}: {summary['train_images']:,} images to train, "
        f"{summary['val_images']:,} to validate, "
        f"{summary.get('test_images', 0):,} to test. Images are "
        f"{_size(checkpoint)}, pixels from 0 to 1, less the mean {_numbers(checkpoint.mean)}, "
        f"divided by the standard deviation {_numbers(checkpoint.std)} of the "
        f"{'training images' if config.weights is None else 'weights that training began with'}.",
        "",
        "## Recipe",
        "",
        f"With these lines in recipe.toml: `chainrule train --config recipe.toml --seed "
        f"{config.seed}`",
        "",
        "```toml",
        *(f"{key} = {json.dumps(value)}" for key, value in recipe_of(config).items()),
        "```",
        "",
        *_machine(runs),
        "",
    ]
    return "\n".join([*lines, *([notes.strip(), ""] if notes else [])])


def _use(config: TrainConfig, tag: str) -> list[str]:
    if not tag:
        return []
    return [
        "```python",
        "from chainrule import models",
        "",
        f'net = models.create("{config.model}", weights="{tag}").eval()',
        "```",
        "",
    ]


def _results(runs: Sequence[Run]) -> list[str]:
    rows = [
        f"| {run.config.seed} | {_percent(run.val_accuracy)} | {_percent(run.test_accuracy)} "
        f"| {run.summary['best_epoch']} of {run.summary['epochs']} |"
        for run in runs
    ]
    table = [
        "| seed | validation accuracy | test accuracy | best epoch |",
        "|---|---|---|---|",
        *rows,
    ]
    tests = [run.test_accuracy for run in runs if run.test_accuracy is not None]
    if not tests:
        return table
    spread = f" ± {statistics.stdev(tests):.2%} (standard deviation)" if len(tests) > 1 else ""
    return [
        *table,
        "",
        f"Test accuracy, mean of {len(tests)}: {statistics.mean(tests):.2%}{spread}.",
    ]


def _tested(runs: Sequence[Run]) -> str:
    if all(run.test_accuracy is None for run in runs):
        return "there were no others to test on"
    return "the test images were used once, at the end"


def _percent(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{accuracy:.2%}"


def _machine(runs: Sequence[Run]) -> list[str]:
    seconds = sorted(run.summary["seconds"] for run in runs)
    took = _minutes(seconds[0])
    if len(seconds) > 1:
        took = f"from {took} to {_minutes(seconds[-1])}"
    facts = json.loads((runs[0].path / ENVIRONMENT).read_text(encoding="utf-8"))
    return [
        f"Training took {took} a seed, on {facts['threads']} threads of a processor "
        f"{facts['cpu']}, with chainrule {facts['chainrule']}.",
    ]


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _size(checkpoint: Checkpoint) -> str:
    height, width = checkpoint.image_size
    kind = {1: "grey", 3: "in colour"}[checkpoint.channels]
    return f"{height} x {width}, {kind}"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
