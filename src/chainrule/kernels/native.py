"""The native tier: what is worth compiling, for float32; the rest falls through to reference."""

raise ImportError("it is not built yet")
