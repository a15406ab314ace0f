"""The command group, and what becomes of errors.

Exit codes: 0 done; 1 some images could not be read (predict), or a bug; 2 the input must be
mended, said in one line; 130 Ctrl-C.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import NoReturn

import click

from chainrule import __version__, threads
from chainrule.cli.bench import bench_command
from chainrule.cli.cv import cv_command
from chainrule.cli.evaluate import evaluate_command
from chainrule.cli.info import info_command
from chainrule.cli.models import models_command
from chainrule.cli.predict import predict_command
from chainrule.cli.summary import summary_command
from chainrule.cli.train import train_command
from chainrule.errors import ChainruleError

DEBUG = "CHAINRULE_DEBUG"  # set it to see the traceback of an expected error


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try it without any data at hand:  chainrule train digits",
)
@click.version_option(__version__, message="chainrule %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Train, evaluate and use image classifiers."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(2)
    # NumPy's BLAS would else take the cores of the host, whatever a container allows.
    threads.set_num_threads(threads.get_num_threads())


COMMANDS = (
    train_command,
    evaluate_command,
    predict_command,
    cv_command,
    models_command,
    summary_command,
    info_command,
    bench_command,
)
for command in COMMANDS:
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not None, as where there is no console
            # A name that the terminal's encoding lacks is shown by its code, not a crash.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code. Expected errors become one line on stderr."""
    try:
        code = cli.main(arguments, prog_name="chainrule", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get(DEBUG):
            raise
        return _report(error)


def _report(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt | click.Abort):
        print("chainrule: interrupted", file=sys.stderr)
        return 130
    statement = _statement(error)
    if statement is None:
        traceback.print_exception(error)
        statement = "this is a bug in chainrule; please report it with the lines above"
        print(f"chainrule: {statement}", file=sys.stderr)
        return 1
    print(f"chainrule: error: {statement}", file=sys.stderr)
    return 2


def _statement(error: BaseException) -> str | None:
    """An expected error in one line; None for a bug."""
    if isinstance(error, ChainruleError):
        return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        return f"{error.format_message()}{hint}".replace("\n", " ")
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    if isinstance(error, MemoryError):
        return "there is not enough memory; try smaller batches or smaller images"
    return None
