"""Channels into pixels, and back."""

from chainrule.nn.layers.upsample import PixelShuffle as PixelShuffle
from chainrule.nn.layers.upsample import PixelUnshuffle as PixelUnshuffle
