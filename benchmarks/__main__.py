"""`chainrule bench` of the installed package, for those who work in the repository.

    pip install ".[parity,plot]" && python -m benchmarks --quick

The machinery is src/chainrule/bench; how to read it, and how to record a result here, is told
in docs/benchmarks.md.
"""

import sys

from chainrule.cli.main import main

if __name__ == "__main__":
    main(["bench", *sys.argv[1:]])
