"""How two cells differ in each measure, with the interval that what is at hand allows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pag.evaluation.intervals import Estimate
from pag.evaluation.metrics import Attacked
from pag.evaluation.seeds import Repeated, paired_difference, paired_means, unpaired_difference
from stages.commands.runs import Side
from stages.reporting.methods import paired

__all__ = ["Differing", "differences"]

SAME_EPS = 0.01  # relative: the paper writes 8/255 as 0.0314


@dataclass(frozen=True)
class Differing:
    """Of one measure.

    Attributes:
        measure: its dotted name.
        a, b: what was measured.
        difference: a − b.
        how: what its interval is: paired over which runs and images, or not, and why.
        doubts: the failed checks of either that spoil it.
    """

    measure: str
    a: Repeated
    b: Repeated
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
            difference, how = _difference(a, b, name, confidence)
            yield Differing(name, of_a[name], of_b[name], difference, how, tuple(dict.fromkeys(doubts)))


def _same_threat(a: Side, b: Side, name: str) -> bool:
    one, other = (side.evaluations[0].measures[name] for side in (a, b))
    if not (isinstance(one, Attacked) and isinstance(other, Attacked)):
        return True
    return one.norm == other.norm and abs(one.eps - other.eps) <= SAME_EPS * other.eps


def _difference(a: Side, b: Side, name: str, confidence: float) -> tuple[Estimate, str]:
    apart = unpaired_difference(a.evaluated.measures[name], b.evaluated.measures[name])
    if a.evaluations[0].dataset != b.evaluations[0].dataset:
        return apart, "unpaired: of other images"
    if name not in a.found or name not in b.found:
        return apart, "unpaired: what each image gave was not kept"
    pairs = paired(a.found[name], b.found[name])
    if pairs is None:
        return apart, "unpaired: of other seeds"
    if pairs[0].shape != pairs[1].shape:
        return apart, "unpaired: of other images"
    one, other = pairs
    runs, n = one.size // one.shape[-1], one.shape[-1]
    how = f"paired, {f'{runs} runs × ' if runs > 1 else ''}{n} images"
    if name == "alignment":
        return paired_means(one, other, confidence), how
    return paired_difference(one.astype(np.bool_), other.astype(np.bool_), confidence), how
