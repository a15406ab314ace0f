"""Weights from an address, by the older name of `chainrule.hub.load_state_dict_from_url`."""

from chainrule.hub import load_state_dict_from_url

__all__ = ["load_url"]

load_url = load_state_dict_from_url
