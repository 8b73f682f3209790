"""Which cell a command means, where it is not given all seeds: the first of today's grid."""

from stages.params.grid import read_grid
from stages.params.methods import reads_targets
from stages.params.reading import Params
from stages.paths import Cell

__all__ = ["chosen_targets_seed", "named_cell"]


def named_cell(
    params: Params,
    dataset: str,
    architecture: str,
    method: str,
    seed: int | None = None,
    targets_seed: int | None = None,
    lambda_: float | None = None,
) -> Cell:
    """The cell of a method that the data set has.

    Args:
        params: with the grid.
        dataset, architecture, method: by their keys in params.
        seed: of training; None: the first of `grid.seeds`.
        targets_seed: None: the first of `grid.targets_seeds` for a method that reads targets, none for another.
        lambda_: of a cell of figure 5's sweep.
    """
    if seed is None:
        seed = read_grid(params).seeds[0]
    if targets_seed is None and reads_targets(params, dataset, method):
        targets_seed = chosen_targets_seed(params)
    return Cell(dataset, architecture, method, seed, targets_seed, lambda_)


def chosen_targets_seed(params: Params, given: int | None = None) -> int:
    """A seed of targets; None: the first of `grid.targets_seeds`, of which there is always one."""
    return read_grid(params).targets_seeds[0] if given is None else given
