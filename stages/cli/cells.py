"""From the options of a command to the cell, or the targets, that it means."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pag.base.errors import InputError

__all__ = ["cell_of", "combined", "named", "of_targets"]


def combined(method: str | None, base: str | None, targets: str | None) -> str | None:
    """The name of the method: `--base` and `--targets` are how dvc.yaml names one of section 6."""
    if base is None and targets is None:
        return method
    if base is None or targets is None or method is not None:
        raise InputError("--base and --targets go together, in place of --method.")
    return f"{base}_with_{targets}"


def of_targets(seed: int | None) -> Callable[[Any], int]:
    """Of params the seed of targets that is meant."""
    from stages.cells import chosen_targets_seed

    return partial(chosen_targets_seed, given=seed)


def named(
    command: str, dataset: str, architecture: str, method: str | None, base: str | None, targets: str | None
) -> dict[str, str]:
    """What a command names of params: a data set, an architecture and a method."""
    method = combined(method, base, targets)
    if method is None:
        raise InputError(f"{command} takes --method, or --base with --targets.")
    return {"dataset": dataset, "architecture": architecture, "method": method}


def cell_of(
    names: Mapping[str, str], seed: int | None, targets_seed: int | None, lambda_: float | None
) -> Callable[[Any], object]:
    """Of params the cell that is meant by such names."""
    from stages.cells import named_cell

    return lambda params: named_cell(params, **names, seed=seed, targets_seed=targets_seed, lambda_=lambda_)
