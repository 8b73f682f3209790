"""The command line `pag`: one command a stage, running a single cell without DVC; the very code that DVC calls."""

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from stages.cli import classifiers, data, exports, imports, overview, results, targets, toy
from stages.cli.failures import told, tracker
from stages.cli.ranks import reports_failure
from stages.cli.version import show_version

__all__ = ["app", "main"]

app = typer.Typer(
    help="Perceptually aligned gradients: target gradients, alignment training, robustness evaluation.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for module in (overview, data, targets, classifiers, toy, results):
    app.add_typer(module.commands)
app.add_typer(imports.imports, name="import", help="Import what others have published.", no_args_is_help=True)
app.add_typer(exports.exports, name="export", help="Export in formats that others use.", no_args_is_help=True)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show versions and the commit.")
    ] = False,
) -> None:
    """What comes before a command."""


def main() -> None:
    """Entry point: what a user can mend ends with a sentence for each mistake and status 2.

    Of several ranks one prints them, and all end so. Anything else is a fault of this program: its traceback, where to report it,
    and status 1.
    """
    sys.path.append(str(Path.cwd()))  # one's own code: `python -m stages` finds it there, an installed script would not
    try:
        app()
    except Exception as error:
        if not reports_failure():
            sys.exit(2)
        sentence = told(error)
        if sentence is None:
            traceback.print_exc()
            print(f"pag: this is a bug in pag; please report the traceback above at {tracker()}.", file=sys.stderr)
            sys.exit(1)
        for line in sentence.splitlines():
            print(f"pag: {line}", file=sys.stderr)
        sys.exit(2)
