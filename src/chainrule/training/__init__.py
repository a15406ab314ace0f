"""Training: from images to a tested classifier in a run folder.

    from chainrule.training import train, evaluate, predict

    run = train("path/to/images", epochs=20)
    print(run.test_accuracy, run.path)
    print(evaluate(run).most_confused())
    for prediction in predict(run, ["cat.jpg", "dog.jpg"]):
        print(prediction.image, prediction.label, prediction.probability)

`Trainer` is the loop alone, for models and batches of your own.
"""

from chainrule.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from chainrule.training.config import TrainConfig, read_settings
from chainrule.training.display import Display
from chainrule.training.environment import describe_environment
from chainrule.training.evaluation import Report, evaluate, evaluate_dataset
from chainrule.training.job import train
from chainrule.training.loop import Callback, EpochMetrics, Trainer
from chainrule.training.prediction import Prediction, predict
from chainrule.training.publish import publish
from chainrule.training.run import Run
from chainrule.training.stages import Frozen, frozen_names, parameter_groups, stages

__all__ = [
    "Callback",
    "Checkpoint",
    "Display",
    "EpochMetrics",
    "Frozen",
    "Prediction",
    "Report",
    "Run",
    "TrainConfig",
    "Trainer",
    "describe_environment",
    "evaluate",
    "evaluate_dataset",
    "frozen_names",
    "load_checkpoint",
    "parameter_groups",
    "predict",
    "publish",
    "read_settings",
    "save_checkpoint",
    "stages",
    "train",
]
