"""Commands that take in what others published."""

from pathlib import Path
from typing import Annotated

import typer

from stages.cli.cells import of_targets
from stages.cli.options import PARAMS, Dataset, Overrides, ParamsFile, TargetsSeed
from stages.cli.running import run_stage

__all__ = ["imports"]

imports = typer.Typer(rich_markup_mode="rich")


@imports.command("targets")
def import_targets(
    dataset: Dataset,
    name: Annotated[str, typer.Option(help="A section of the data set's [bold]targets[/bold] with source: imported.")],
    file: Annotated[Path, typer.Option(help="The tensor (N, 1 + C, ch, H, W): images and their target gradients.")],
    labels: Annotated[Path, typer.Option(help="The images' labels, (N,).")],
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Turn published target gradients into a target store."""
    arguments = (dataset, name, file, labels, of_targets(targets_seed))
    run_stage("commands.import_targets", params, set_, *arguments, dataset=dataset, targets=name)


@imports.command("diffusion")
def import_diffusion(
    dataset: Dataset,
    file: Annotated[Path, typer.Option(help="An EMA checkpoint of improved-diffusion with C + 1 labels.")],
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Use a published diffusion model instead of training one."""
    run_stage("commands.import_diffusion", params, set_, dataset, file, of_targets(targets_seed), dataset=dataset)
