"""How two cells differ in each measure, with the interval that what is at hand allows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pag.evaluation.intervals import Estimate
from pag.evaluation.metrics import Attacked
from pag.evaluation.seeds import paired_difference, paired_means, unpaired_difference
from stages.commands.runs import Side
from stages.reporting.methods import Values, paired

__all__ = ["Differing", "differences"]

SAME_EPS = 0.01  # relative: the paper writes 8/255 as 0.0314


@dataclass(frozen=True)
class Differing:
    """Of one measure.

    Attributes:
        measure: its dotted name.
        a, b: what was measured; of paired runs their means, else those of all runs.
        difference: a − b.
        how: what its interval is: paired over which runs and images, or not, and why.
        doubts: the failed checks of either that spoil it.
    """

    measure: str
    a: float
    b: float
    difference: Estimate
    how: str
    doubts: tuple[str, ...] = ()

    @property
    def sign(self) -> int:
        """1 where a is above b, −1 where it is below, and 0 where one cannot tell: the interval covers 0, or a check failed."""
        low, high = self.difference.interval
        return 0 if self.doubts else int(low > 0) - int(high < 0)


def differences(a: Side, b: Side, confidence: float = 0.95) -> Iterator[Differing]:
    """Every measure that both have under the same conditions, in the order of a.

    Args:
        a, b: cells, of whatever runs.
        confidence: of paired intervals; others are as sure as those that they are made of.
    """
    of_a, of_b = a.evaluated.measures, b.evaluated.measures
    for name in of_a:
        if name in of_b and _same_threat(a, b, name):
            doubts = (*a.evaluated.doubts(name), *b.evaluated.doubts(name))
            yield Differing(name, *_difference(a, b, name, confidence), tuple(dict.fromkeys(doubts)))


def _same_threat(a: Side, b: Side, name: str) -> bool:
    one, other = (side.evaluations[0].measures[name] for side in (a, b))
    if not (isinstance(one, Attacked) and isinstance(other, Attacked)):
        return True
    return one.norm == other.norm and abs(one.eps - other.eps) <= SAME_EPS * other.eps


def _difference(a: Side, b: Side, name: str, confidence: float) -> tuple[float, float, Estimate, str]:
    """Both numbers, how they differ, and what the interval of that is."""
    of_a, of_b = a.evaluated.measures[name], b.evaluated.measures[name]
    pairs, why = _paired(a, b, name)
    if pairs is None:
        return of_a.value, of_b.value, unpaired_difference(of_a, of_b, confidence), f"unpaired: {why}"
    one, other = pairs
    runs, n = one.size // one.shape[-1], one.shape[-1]
    shared = ", over the seeds both have" if runs < max(of_a.runs, of_b.runs) else ""
    how = f"paired, {f'{runs} runs × ' if runs > 1 else ''}{n} images{shared}"
    if name == "alignment":
        difference = paired_means(one, other, confidence)
    else:
        difference = paired_difference(one.astype(np.bool_), other.astype(np.bool_), confidence)
    return float(one.mean()), float(other.mean()), difference, how


def _same_images(a: Side, b: Side) -> bool:
    """Whether both are of one test set, as far as they say of which they are."""
    if a.evaluations[0].dataset != b.evaluations[0].dataset:
        return False
    return len({of.images for side in (a, b) for of in side.evaluations if of.images is not None}) <= 1


def _paired(a: Side, b: Side, name: str) -> tuple[tuple[Values, Values] | None, str]:
    """What both found image by image, or why it cannot be paired."""
    if not _same_images(a, b):
        return None, "different images"
    if name not in a.found or name not in b.found:
        return None, "per-image results were not kept"
    pairs = paired(a.found[name], b.found[name])
    if pairs is None:
        return None, "different seeds"
    return (None, "different images") if pairs[0].shape != pairs[1].shape else (pairs, "")
