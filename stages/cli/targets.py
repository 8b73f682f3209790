"""Commands from a data set to target gradients: the diffusion model, what it draws, and the stores."""

from enum import StrEnum
from typing import Annotated

import typer

from stages.cli import completion
from stages.cli.cells import of_targets
from stages.cli.options import PARAMS, Architecture, Dataset, Overrides, ParamsFile, TargetsSeed
from stages.cli.running import run_stage

__all__ = ["commands"]

commands = typer.Typer(rich_markup_mode="rich")


class Split(StrEnum):
    """The images at which score-based gradients are taken."""

    train = "train"
    test = "test"


@commands.command()
def train_diffusion(
    dataset: Dataset, targets_seed: TargetsSeed = None, set_: Overrides = None, params: ParamsFile = PARAMS
) -> None:
    """Train the class-conditional diffusion model with C + 1 labels (section 4.2)."""
    run_stage("train_diffusion", params, set_, dataset, of_targets(targets_seed), dataset=dataset)


@commands.command()
def score_targets(
    dataset: Dataset,
    split: Annotated[
        Split, typer.Option(help="train: what classifiers learn from; test: evaluate's reference.")
    ] = Split.train,
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Distil score-based target gradients from the diffusion model (section 4.2, eq. 8)."""
    run_stage("score_targets", params, set_, dataset, split.value, of_targets(targets_seed), dataset=dataset)


@commands.command()
def heuristic_targets(
    dataset: Dataset,
    source: Annotated[
        str,
        typer.Option(
            autocompletion=completion.targets, help="A heuristic section of the data set's [bold]targets[/bold]."
        ),
    ],
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write targets that need no network: class representatives (section 4.1), kernel densities."""
    run_stage(
        "heuristic_targets", params, set_, dataset, source, of_targets(targets_seed), dataset=dataset, targets=source
    )


@commands.command()
def teacher_targets(
    dataset: Dataset,
    architecture: Architecture,
    method: Annotated[
        str,
        typer.Option(
            autocompletion=completion.methods, help="How the teacher was trained: a section of [bold]methods[/bold]."
        ),
    ],
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write a trained classifier's margin gradients as targets, the store teacher_METHOD; its training seed is the targets seed."""
    from stages.params.targets import teacher_targets

    names = {"dataset": dataset, "architecture": architecture, "method": method}
    seed = of_targets(targets_seed)
    run_stage("teacher_targets", params, set_, *names.values(), seed, **names, targets=teacher_targets(method))


@commands.command()
def generate(
    dataset: Dataset, targets_seed: TargetsSeed = None, set_: Overrides = None, params: ParamsFile = PARAMS
) -> None:
    """Draw labelled images from the diffusion model, for methods that train with them."""
    run_stage("generate", params, set_, dataset, of_targets(targets_seed), dataset=dataset)


@commands.command()
def generated_targets(
    dataset: Dataset,
    source: Annotated[
        str, typer.Option(autocompletion=completion.targets, help="A section of the data set's [bold]targets[/bold].")
    ],
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write target gradients at the generated images (section 4)."""
    run_stage(
        "generated_targets", params, set_, dataset, source, of_targets(targets_seed), dataset=dataset, targets=source
    )
