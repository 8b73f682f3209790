"""Commands that tell of what is there, and make nothing."""

from typing import Annotated

import typer

from stages.cli import completion
from stages.cli.options import PARAMS, Overrides, ParamsFile
from stages.cli.running import run_stage

__all__ = ["commands"]

commands = typer.Typer(rich_markup_mode="rich")


@commands.command()
def status(
    dvc: Annotated[bool, typer.Option("--dvc/--no-dvc", help="Whether to ask DVC what has changed.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Show the current grid: what is done, stale, running or missing, headline numbers, and what is left to do."""
    run_stage("commands.status", params, set_, dvc, json)


@commands.command()
def explain(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.explained, help="SBG, at_l2, kernel, relative_step, training.epochs, λ, …"
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.datasets,
            help="The data set whose values to show; default: those of [bold]grid.datasets[/bold].",
        ),
    ] = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Explain a word, a method, a source of targets or a key of params: equation, reference, current values."""
    run_stage("commands.explain", params, set_, name, dataset, **({} if dataset is None else {"dataset": dataset}))


@commands.command()
def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A cell evaluated here (score_based, digits/resnet8-vanilla) or a run: here, a file in results/, or "
            "any name that git or DVC has for a commit or an experiment.",
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="What to compare it with, of the same kind.")] = "here",
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Show how two cells or two runs differ, with intervals, and which differences are conclusive."""
    run_stage("commands.compare", params, set_, a, b)
