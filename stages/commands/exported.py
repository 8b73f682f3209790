"""Whether what was measured of a classifier is of the weights that are exported."""

from torch import nn

from pag.base.errors import InputError
from pag.evaluation.metrics import Metrics
from pag.evaluation.network import weights_digest
from stages.paths import Cell

__all__ = ["check_weights"]


def check_weights(cell: Cell, metrics: Metrics, model: nn.Module) -> None:
    """Raises InputError where the evaluation of a cell, `metrics`, was of other weights than those of its classifier now."""
    if metrics.weights not in (None, weights_digest(model)):
        file = cell.evaluation / "metrics.json"
        raise InputError(f"{file} is of other weights than those in {cell.classifier}; run evaluate again.")
