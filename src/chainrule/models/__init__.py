"""Models by name: ``models.create("resnet20", num_classes=100)``, or ``models.resnet20(100)``."""

import sys
from typing import TYPE_CHECKING, NoReturn

from chainrule.errors import absent_name
from chainrule.models.alexnet import AlexNet, alexnet
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
from chainrule.models.densenet import DenseNet, densenet121, densenet161, densenet169, densenet201
from chainrule.models.example_net import ExampleNet, example_net
from chainrule.models.fcn import FCN, fcn_resnet20
from chainrule.models.googlenet import GoogLeNet, GoogLeNetOutputs, googlenet
from chainrule.models.knn import NearestNeighbors, knn
from chainrule.models.lenet import LeNet5, lenet5
from chainrule.models.mlp import mlp, softmax, svm, two_layer_net
from chainrule.models.mobilenetv2 import MobileNetV2, mobilenet_v2
from chainrule.models.preact_resnet import (
    PreActResNet,
    preact_resnet18,
    preact_resnet20,
    preact_resnet56,
    preact_resnet110,
    preact_resnet164,
)
from chainrule.models.pretrained import from_pretrained, save_pretrained
from chainrule.models.registry import Entry, create, entry, heads, register
from chainrule.models.registry import names as list
from chainrule.models.resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from chainrule.models.se_resnet import (
    se_resnet18,
    se_resnet20,
    se_resnet34,
    se_resnet50,
    se_resnet101,
    se_resnet152,
)
from chainrule.models.squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
from chainrule.models.vgg import (
    VGG,
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)
from chainrule.models.weights import load_weights, pretrained_tags
from chainrule.models.zfnet import ZFNet, zfnet

__all__ = [
    "FCN",
    "VGG",
    "AlexNet",
    "AllCNN",
    "CifarResNet",
    "DenseNet",
    "Entry",
    "ExampleNet",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "LeNet5",
    "MobileNetV2",
    "NearestNeighbors",
    "PreActResNet",
    "ResNet",
    "SqueezeNet",
    "ZFNet",
    "alexnet",
    "all_cnn_c",
    "create",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "entry",
    "example_net",
    "fcn_resnet20",
    "from_pretrained",
    "googlenet",
    "heads",
    "knn",
    "lenet5",
    "list",
    "load_weights",
    "mlp",
    "mobilenet_v2",
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
    "pretrained_tags",
    "register",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "save_pretrained",
    "se_resnet18",
    "se_resnet20",
    "se_resnet34",
    "se_resnet50",
    "se_resnet101",
    "se_resnet152",
    "softmax",
    "squeezenet1_0",
    "squeezenet1_1",
    "svm",
    "two_layer_net",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "zfnet",
]


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
