"""Commands of the toy experiment (section 5.1)."""

import typer

from stages.cli.options import PARAMS, Overrides, ParamsFile
from stages.cli.running import run_stage

__all__ = ["commands"]

commands = typer.Typer(rich_markup_mode="rich")


@commands.command()
def train_toy(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Train the networks of the toy experiment (section 5.1)."""
    run_stage("train_toy", params, set_)


@commands.command()
def evaluate_toy(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Attack the networks of the toy experiment (section 5.1)."""
    run_stage("evaluate_toy", params, set_)
