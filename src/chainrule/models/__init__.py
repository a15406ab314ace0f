"""Models by name: ``models.create("resnet20", num_classes=100)``, or ``models.resnet20(100)``."""

from chainrule.models.all_cnn import AllCNN, all_cnn_c
from chainrule.models.cifar_resnet import (
    CifarResNet,
    plain20,
    plain32,
    plain44,
    plain56,
    plain110,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
)
from chainrule.models.example_net import ExampleNet, example_net
from chainrule.models.fcn import FCN, fcn_resnet20
from chainrule.models.lenet import LeNet5, lenet5
from chainrule.models.mlp import mlp, softmax, svm, two_layer_net
from chainrule.models.preact_resnet import (
    PreActResNet,
    preact_resnet18,
    preact_resnet20,
    preact_resnet56,
    preact_resnet110,
    preact_resnet164,
)
from chainrule.models.registry import Entry, create, entry, heads, register
from chainrule.models.registry import names as list

__all__ = [
    "FCN",
    "AllCNN",
    "CifarResNet",
    "Entry",
    "ExampleNet",
    "LeNet5",
    "PreActResNet",
    "all_cnn_c",
    "create",
    "entry",
    "example_net",
    "fcn_resnet20",
    "heads",
    "lenet5",
    "list",
    "mlp",
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "plain110",
    "preact_resnet18",
    "preact_resnet20",
    "preact_resnet56",
    "preact_resnet110",
    "preact_resnet164",
    "register",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "softmax",
    "svm",
    "two_layer_net",
]
