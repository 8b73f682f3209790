"""Robust accuracy over the size of perturbations: the "security evaluation curve" of Biggio and Roli (2018), accuracy over ε.

What fools a network within ε fools it within any larger one. So each attack is run on those alone who withstood all smaller ε, and
the curve falls, however weak the attack is: one that grows tells of an attack that failed (Carlini et al., 2019, section 4).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from pag.attacks.autoattack import AutoAttack
from pag.attacks.harness import BlockAttack
from pag.attacks.ladder import Ladder
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.vocabulary import NormName
from pag.evaluation.accuracy import Robustness, evaluate
from pag.evaluation.blocks import Blocks
from pag.evaluation.intervals import Estimate, proportion
from pag.evaluation.metrics import Attacked
from pag.evaluation.module import checked_predictions, examine

__all__ = ["RobustnessCurve", "curve_of", "robustness_curve"]


@dataclass(frozen=True)
class RobustnessCurve:
    """Who withstands perturbations of which size.

    Attributes:
        norm: what ε is measured in.
        epsilons: ascending, `(K,)`; the first is 0, without an attack.
        withstood: `(K, N)` bool; of each example true up to some ε, and false from there on.
        confidence: of the intervals.
    """

    norm: str
    epsilons: tuple[float, ...]
    withstood: NDArray[np.bool_]
    confidence: float

    @property
    def accuracies(self) -> tuple[Estimate, ...]:
        """At each ε the share that withstood, as a fraction, with its Wilson interval; never more than at a smaller one."""
        return tuple(proportion(flags, self.confidence) for flags in self.withstood)

    def measured(self) -> tuple[Attacked, ...]:
        """The form it has in `metrics.json`."""
        pairs = zip(self.epsilons, self.accuracies, strict=True)
        return tuple(Attacked(norm=self.norm, eps=eps, **dict(accuracy)) for eps, accuracy in pairs)


def robustness_curve(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: NormName,
    epsilons: Iterable[float],
    *,
    attack: Callable[[Threat], BlockAttack] = AutoAttack,
    seed: int = 0,
    block_size: int = 100,
    workers: int = 1,
    confidence: float = 0.95,
) -> RobustnessCurve:
    """Accuracy over ε under one kind of attack.

    Args:
        model, images, labels: as of `pag.evaluate`; all images are attacked.
        norm: `"l2"` or `"linf"`.
        epsilons: positive and ascending, in pixels of [0, 1], at least one.
        attack: of a threat; the curve is an upper bound of the network's robustness, and a weak attack's is far above it.
        seed, block_size, workers, confidence: as of `pag.evaluate`.

    Raises:
        InputError, FloatingPointError: as `pag.evaluate` does, or ε do not ascend from above 0.
    """
    sizes = [float(eps) for eps in epsilons]
    if not sizes or sizes != sorted({eps for eps in sizes if eps > 0}):
        raise InputError(f"A curve needs positive epsilons that ascend, not {sizes}.")
    ladder = Ladder(tuple(attack(Threat(norm, eps)) for eps in sizes))
    checked_predictions(model, images, labels)
    blocks = Blocks(block_size, seed, workers)
    examined = examine(model, images, labels.cpu(), blocks, confidence)
    found = evaluate(
        examined.load, examined.x, examined.labels, {"curve": ladder}, blocks, confidence=confidence, description="curve"
    )  # fmt: skip
    return curve_of(ladder, found["curve"])


def curve_of(ladder: Ladder, outcome: Robustness) -> RobustnessCurve:
    """The curve that the outcome of a ladder of attacks is."""
    withstood = np.stack([outcome.clean, *ladder.by_rung(outcome.robust)])
    epsilons = (0.0, *(rung.threat.eps for rung in ladder.rungs))
    return RobustnessCurve(ladder.threat.norm, epsilons, withstood, outcome.confidence)
