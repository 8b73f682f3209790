"""Commands that write a data set, and the code that stages run."""

import typer

from stages.cli.options import PARAMS, Dataset, Overrides, ParamsFile
from stages.cli.running import run_stage

__all__ = ["commands"]

commands = typer.Typer(rich_markup_mode="rich")


@commands.command()
def code(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write which code each stage runs; DVC re-runs stages by it."""
    run_stage("code", params, set_)


@commands.command()
def originals(dataset: Dataset, set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write which original files a data set has; DVC notices by it that a picture was added."""
    run_stage("originals", params, set_, dataset, dataset=dataset)


@commands.command()
def prepare(dataset: Dataset, set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write a data set's images and labels, with its validation split."""
    run_stage("prepare", params, set_, dataset, dataset=dataset)
