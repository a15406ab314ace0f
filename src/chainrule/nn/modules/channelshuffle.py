"""Channels of all groups mixed."""

from chainrule.nn.layers.upsample import ChannelShuffle as ChannelShuffle
