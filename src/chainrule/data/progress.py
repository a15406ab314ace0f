"""How long work is told to whoever waits for it."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total): what is done, how many units of it, out of how many.

`stage` is a short phrase ("decode", "download train-images-idx3-ubyte.gz"); the units are images
or bytes; total is 0 where it is not known. Called from the thread that asked for the work.
"""
