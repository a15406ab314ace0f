"""Benchmarks: chainrule beside PyTorch, in one process, in turns.

    models       what is timed: five networks, written once over either library
    libraries    the two libraries behind the same names
    turns        how two functions are compared
    steps, kernel_cases, overhead, memory, footprint    the cases, a file for each kind
    run          choosing cases and measuring them
    result       what was found, and its file;  report, plot  show it
    tiers        naive, vectorised and native side by side, for a student

docs/benchmarks.md tells how to read the figures. `chainrule bench` is the command.
"""
