"""Models by name: ``models.create("resnet20", num_classes=100)``, or ``models.resnet20(100)``."""

from chainrule.models.cifar_resnet import CifarResNet, resnet20
from chainrule.models.lenet import LeNet5, lenet5
from chainrule.models.mlp import mlp, softmax
from chainrule.models.registry import Entry, create, entry, heads, register
from chainrule.models.registry import names as list

__all__ = [
    "CifarResNet",
    "Entry",
    "LeNet5",
    "create",
    "entry",
    "heads",
    "lenet5",
    "list",
    "mlp",
    "register",
    "resnet20",
    "softmax",
]
