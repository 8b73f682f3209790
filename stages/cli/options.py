"""The options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from stages.cli import completion

__all__ = [
    "PARAMS",
    "Architecture",
    "Base",
    "Dataset",
    "Lambda",
    "Method",
    "Overrides",
    "ParamsFile",
    "Seed",
    "Targets",
    "TargetsSeed",
    "Workers",
]

LARGEST_LAMBDA = 1e9
LARGEST_SEED = 2**31 - 1
PARAMS = Path("params.yaml")


def _checked_lambda(value: float | None) -> float | None:
    """λ as what stands in a folder's name."""
    if value is not None and not 0 <= value <= LARGEST_LAMBDA:
        raise typer.BadParameter(f"{value} is not in the range 0 … {LARGEST_LAMBDA:g}.")
    return value


Dataset = Annotated[
    str, typer.Option(autocompletion=completion.datasets, help="A data set; its parameters are in params/DATASET.yaml.")
]
Architecture = Annotated[
    str,
    typer.Option(
        autocompletion=completion.architectures, help="A section of [bold]architectures[/bold] in params.yaml."
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        autocompletion=completion.methods,
        help="A section of the data set's [bold]methods[/bold]: vanilla, score_based, …",
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        autocompletion=completion.methods,
        help="With --targets, instead of --method: the combined method BASE_with_TARGETS.",
    ),
]
Targets = Annotated[
    str | None,
    typer.Option(
        autocompletion=completion.targets, help="The target store of a combined method, or [bold]generated[/bold]."
    ),
]
Lambda = Annotated[
    float | None,
    typer.Option(
        "--lambda",
        callback=_checked_lambda,
        help="The cell of figure 5's sweep with this λ, kept beside the method's own cell.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=LARGEST_SEED, help="Training seed; default: the first of [bold]grid.seeds[/bold]."),
]
TargetsSeed = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=LARGEST_SEED,
        help="Seed of the diffusion model, its samples and the targets; default: the first of [bold]grid.targets_seeds[/bold].",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="[FILE:]KEY=VALUE",
        help="Override a parameter as dvc exp run -S does: seed=1, params/digits.yaml:training.epochs=5. Repeatable.",
    ),
]
ParamsFile = Annotated[
    Path, typer.Option("--params", help="The parameter file; those of data sets are in params/ beside it.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, max=1024, help="Processes (per rank) that share the examples; default: one per core, one on a GPU."
    ),
]
