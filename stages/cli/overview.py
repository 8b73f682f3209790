"""Commands that tell of what is there, and make nothing."""

from typing import Annotated

import typer

from stages.cli.options import PARAMS, Overrides, ParamsFile
from stages.cli.running import run_stage

__all__ = ["commands"]

commands = typer.Typer(rich_markup_mode="rich")


@commands.command()
def status(
    dvc: Annotated[bool, typer.Option("--dvc/--no-dvc", help="Whether DVC is asked what has changed.")] = True,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Show today's grid: what is done, stale, running or missing, headline numbers, and what is left to do."""
    run_stage("commands.status", params, set_, dvc, json)


@commands.command()
def explain(
    name: Annotated[str, typer.Argument(help="SBG, at_l2, kernel, relative_step, training.epochs, λ, …")],
    dataset: Annotated[
        str | None, typer.Option(help="Whose numbers are shown; default: those of [bold]grid.datasets[/bold].")
    ] = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Say what a word, a method, a source of targets or a key of params is: equation, reference, present values."""
    run_stage("commands.explain", params, set_, name, dataset, **({} if dataset is None else {"dataset": dataset}))
