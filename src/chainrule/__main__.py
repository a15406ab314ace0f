"""``python -m chainrule``: the `chainrule` command."""

from chainrule.cli.main import main

main()
