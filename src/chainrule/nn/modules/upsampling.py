"""Upsampling as modules."""

from chainrule.nn.layers.upsample import Upsample as Upsample
from chainrule.nn.layers.upsample import UpsamplingBilinear2d as UpsamplingBilinear2d
from chainrule.nn.layers.upsample import UpsamplingNearest2d as UpsamplingNearest2d
