"""Commands that write what others take."""

from pathlib import Path
from typing import Annotated

import typer

from stages.cli.cells import cell_of, named
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
)
from stages.cli.running import run_stage

__all__ = ["exports"]

exports = typer.Typer(rich_markup_mode="rich")


@exports.command("robustbench")
def export_robustbench(
    dataset: Dataset,
    architecture: Architecture,
    threat: Annotated[str, typer.Option(help="A threat of the evaluation, [bold]l2[/bold] or [bold]linf[/bold].")],
    out: Annotated[Path, typer.Option(help="The folder: a checkout of RobustBench, or an empty one.")],
    method: Method = None,
    base: Base = None,
    targets: Targets = None,
    lambda_: Lambda = None,
    seed: Seed = None,
    targets_seed: TargetsSeed = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name, as the zoo writes it: Surname2023FirstWord.")
    ] = None,
    title: Annotated[str, typer.Option(help="The paper's title.")] = "",
    link: Annotated[str, typer.Option(help="A link to the paper.")] = "",
    authors: Annotated[str, typer.Option(help="The paper's authors.")] = "",
    venue: Annotated[str, typer.Option(help="The paper's venue.")] = "",
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write a classifier in the form of RobustBench's model zoo: weights, model class, model_info."""
    from stages.commands.export_robustbench import Submission

    names = named("export robustbench", dataset, architecture, method, base, targets)
    cell, submission = cell_of(names, seed, targets_seed, lambda_), Submission(name, title, link, authors, venue)
    run_stage("commands.export_robustbench", params, set_, cell, threat, out, submission, **names)


@exports.command("program")
def export_program(
    dataset: Dataset,
    architecture: Architecture,
    out: Annotated[Path, typer.Option(help="A new folder.")],
    method: Method = None,
    base: Base = None,
    targets: Targets = None,
    lambda_: Lambda = None,
    seed: Seed = None,
    targets_seed: TargetsSeed = None,
    onnx: Annotated[bool, typer.Option(help="Whether to write ONNX alongside the torch program.")] = True,
    set_: Overrides = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Write a classifier for use without this repository: a torch.export program, ONNX and a model card."""
    names = named("export program", dataset, architecture, method, base, targets)
    run_stage("commands.export_program", params, set_, cell_of(names, seed, targets_seed, lambda_), out, onnx, **names)
