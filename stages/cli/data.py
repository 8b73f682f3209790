"""Commands that write a data set or its parameters, and the code that stages run."""

from pathlib import Path
from typing import Annotated

import typer

from stages.cli.options import PARAMS, Dataset, Overrides, ParamsFile
from stages.cli.running import run_stage

__all__ = ["commands"]

commands = typer.Typer(rich_markup_mode="rich")


@commands.command()
def code(set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write which code each stage runs; DVC re-runs stages when it changes."""
    run_stage("code", params, set_)


@commands.command()
def originals(dataset: Dataset, set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write which original files a data set has, so that DVC notices added pictures."""
    run_stage("originals", params, set_, dataset, dataset=dataset)


@commands.command()
def prepare(dataset: Dataset, set_: Overrides = None, params: ParamsFile = PARAMS) -> None:
    """Write a data set's images and labels, with its validation split."""
    run_stage("prepare", params, set_, dataset, dataset=dataset)


@commands.command()
def new_dataset(
    name: Annotated[str, typer.Argument(help="The data set's name: lower-case letters, digits and _.")],
    root: Annotated[
        Path, typer.Option(help="The folder with train/CLASS/… and test/CLASS/…; pictures of any size and mode.")
    ],
    like: Annotated[
        str, typer.Option(help="The data set to take the numbers from that do not depend on the images.")
    ] = "cifar10_small",
    params: ParamsFile = PARAMS,
) -> None:
    """Look at a folder of images and write data set parameters that suit them."""
    run_stage("commands.new_dataset", params, None, name, root, like)
