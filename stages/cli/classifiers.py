"""Commands that train and evaluate classifiers."""

from pathlib import Path
from typing import Annotated

import typer

from pag.base.errors import InputError
from stages.cli import completion
from stages.cli.cells import cell_of, combined, named
from stages.cli.options import (
    PARAMS,
    Architecture,
    Base,
    Dataset,
    Lambda,
    Method,
    Overrides,
    ParamsFile,
    Seed,
    Targets,
    TargetsSeed,
    Workers,
)
from stages.cli.running import run_stage

__all__ = ["commands"]

commands = typer.Typer(rich_markup_mode="rich")


@commands.command()
def train(
    dataset: Dataset,
    architecture: Architecture,
    method: Method = None,
    base: Base = None,
    targets: Targets = None,
    lambda_: Lambda = None,
    seed: Seed = None,
    targets_seed: TargetsSeed = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Train one classifier (section 3)."""
    names = named("train", dataset, architecture, method, base, targets)
    run_stage("train", params, set_, cell_of(names, seed, targets_seed, lambda_), **names)


@commands.command()
def evaluate(
    dataset: Dataset,
    architecture: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.architectures,
            help="A section of [bold]architectures[/bold] in params.yaml; omit for a module.",
        ),
    ] = None,
    method: Method = None,
    base: Base = None,
    targets: Targets = None,
    lambda_: Lambda = None,
    seed: Seed = None,
    targets_seed: TargetsSeed = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Weights from anywhere (safetensors or a torch state dict), instead of a method."),
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(
            metavar="PACKAGE.MODULE:FACTORY",
            help="A factory for any torch.nn.Module on pixels in [0, 1]; its code is run.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where the results of a checkpoint or a module go; default: <stem>-evaluation beside the checkpoint, "
            "<factory>-evaluation here."
        ),
    ] = None,
    workers: Workers = None,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Measure a classifier on the test set: clean accuracy, attacks, alignment (section 5.2)."""
    method = combined(method, base, targets)
    given = [name for name, value in (("method", method), ("checkpoint", checkpoint), ("module", module)) if value]
    of_no_cell = (lambda_, seed, targets_seed) == (None, None, None)
    if given == ["method"] and architecture and method and output is None:
        names = {"dataset": dataset, "architecture": architecture, "method": method}
        run_stage("evaluate", params, set_, cell_of(names, seed, targets_seed, lambda_), workers, **names)
    elif given == ["checkpoint"] and architecture and of_no_cell:
        arguments = (checkpoint, dataset, architecture, output, workers)
        run_stage("commands.evaluate_checkpoint", params, set_, *arguments, dataset=dataset, architecture=architecture)
    elif given == ["module"] and not architecture and of_no_cell:
        run_stage("commands.evaluate_module", params, set_, module, dataset, output, workers, dataset=dataset)
    else:
        raise InputError(
            "evaluate takes --method with --architecture (and --lambda, --seed, --targets-seed), or --checkpoint with "
            "--architecture (and --output), or --module alone (and --output)."
        )
