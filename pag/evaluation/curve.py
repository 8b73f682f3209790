"""Robust accuracy over the size of perturbations: the "security evaluation curve" of Biggio and Roli (2018), accuracy over ε.

What fools a network within ε fools it within any larger one. So each attack is run on those alone who withstood all smaller ε, and
the curve falls, however weak the attack is: one that grows tells of an attack that failed (Carlini et al., 2019, section 4).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from pag.attacks.autoattack import AutoAttack
from pag.attacks.harness import BlockAttack
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.vocabulary import NormName
from pag.evaluation.accuracy import evaluate
from pag.evaluation.blocks import Blocks
from pag.evaluation.checking import Examined
from pag.evaluation.intervals import Estimate, proportion
from pag.evaluation.metrics import Attacked
from pag.evaluation.module import checked_predictions, examine

__all__ = ["RobustnessCurve", "curve_in_blocks", "robustness_curve"]


@dataclass(frozen=True)
class RobustnessCurve:
    """Who withstands perturbations of which size.

    Attributes:
        norm: what ε is measured in.
        epsilons: ascending, `(K,)`; the first is 0, without an attack.
        withstood: `(K, N)` bool; of each example true up to some ε, and false from there on.
        confidence: of the intervals.
    """

    norm: NormName
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
    epsilons: Sequence[float],
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
    if not epsilons or list(epsilons) != sorted({eps for eps in epsilons if eps > 0}):
        raise InputError(f"A curve needs positive epsilons that ascend, not {list(epsilons)}.")
    blocks, predicted = Blocks(block_size, seed, workers), checked_predictions(model, images, labels)
    examined = examine(model, images, labels, blocks, confidence)
    return curve_in_blocks(examined, predicted == labels.cpu(), norm, epsilons, attack)


def curve_in_blocks(
    examined: Examined,
    correct: Tensor,
    norm: NormName,
    epsilons: Sequence[float],
    attack: Callable[[Threat], BlockAttack],
) -> RobustnessCurve:
    """The curve of a network that is already known to be fit for an attack; under several ranks all have the whole of it.

    Args:
        examined: the network with the N examples.
        correct: `(N,)` bool, who is right without an attack.
        norm, epsilons, attack: as of `robustness_curve`.
    """
    rows = np.flatnonzero(correct.numpy())
    left = [rows]
    for eps in epsilons:
        if len(rows):
            x, y, attacks = examined.x[rows], examined.labels[rows], {"eps": attack(Threat(norm, eps))}
            found = evaluate(
                examined.load, x, y, attacks, examined.blocks, confidence=examined.confidence,
                description=f"curve, {norm}, ε = {eps:g}",
            )  # fmt: skip
            rows = rows[found["eps"].withstood]
        left.append(rows)
    withstood = np.stack([np.isin(np.arange(len(correct)), among) for among in left])
    return RobustnessCurve(norm, (0.0, *map(float, epsilons)), withstood, examined.confidence)
