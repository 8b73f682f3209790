"""Commands that show results, and keep them."""

from typing import Annotated

import typer

from stages.cli.closing import closing_line
from stages.cli.options import PARAMS, Architecture, Dataset, Overrides, ParamsFile
from stages.cli.running import run_stage

__all__ = ["commands"]

commands = typer.Typer(rich_markup_mode="rich")


@commands.command()
def visualize(
    dataset: Dataset,
    architecture: Architecture,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="First move what is not in the current grid to data/DATASET/former/.")
    ] = False,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Draw the figures of one data set and architecture."""
    run_stage("visualize", params, set_, dataset, architecture, set_aside, dataset=dataset, architecture=architecture)


@commands.command()
def report(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write the page and the tables of the whole grid."""
    run_stage("report", params, set_)


@commands.command()
def keep(
    name: Annotated[
        str, typer.Option(help="The name of the file in [bold]results/[/bold] and of the run in the report.")
    ],
    hardware: Annotated[str, typer.Option(help="What the run was measured on, in words.")],
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write the results of the current grid to results/NAME.json, to be shown beside those of other machines."""
    run_stage("commands.keep", params, set_, name, hardware)


@commands.command()
def plots_page(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write the page that [bold]dvc plots show[/bold] fills, with its scripts, so that it needs no network."""
    run_stage("plots_page", params, set_)


@commands.command()
def results() -> None:
    """Write the tables of docs/results.md from the files of results/."""
    from stages.commands.results import write_results

    for page in write_results():
        print(closing_line(page))
