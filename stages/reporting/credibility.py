"""Whose robustness counts: not that of a network whose evaluation failed a check, nor of one that hardly knows the classes."""

from collections.abc import Sequence

from pag.evaluation.sanity import failed
from pag.figures.names import percent
from stages.reporting.results import CellResult, GridResults

__all__ = ["NEAR", "cost", "counted", "discounted"]

NEAR = 0.05  # of clean accuracy, below which a difference is no price worth telling
KNOWS = 0.5  # the least share of vanilla's clean accuracy with which a network is compared at all


def cost(cell: CellResult, other: CellResult) -> str:
    """The clean accuracy that a network has less than another, where that is not near: `clean 80.0% against 95.0%`; else empty."""
    own, others = cell.evaluation.clean.value, other.evaluation.clean.value
    return f"clean {percent(own)} against {percent(others)}" if own < others - NEAR else ""


def _reason(cell: CellResult, vanilla: CellResult | None) -> str:
    names = failed(cell.evaluation.sanity)
    if names:
        return f"its evaluation failed {'a check' if len(names) == 1 else 'checks'} ({', '.join(names)})"
    clean = cell.evaluation.clean.value
    if vanilla is not None and clean < KNOWS * vanilla.evaluation.clean.value:
        return f"it hardly knows the classes ({cost(cell, vanilla) or f'clean {percent(clean)}'})"
    return ""


def discounted(results: GridResults) -> list[str]:
    """Why the robustness of a network does not count, a sentence for each that it is true of."""
    reasons = [(cell.label, _reason(cell, results.vanilla)) for cell in (*results.cells, *results.sweep)]
    return [f"{label} does not count: {reason}." for label, reason in reasons if reason]


def counted(results: GridResults) -> GridResults:
    """The results without the networks that do not count."""

    def sound(cells: Sequence[CellResult]) -> tuple[CellResult, ...]:
        return tuple(cell for cell in cells if not _reason(cell, results.vanilla))

    return results.model_copy(update={"cells": sound(results.cells), "sweep": sound(results.sweep)})
