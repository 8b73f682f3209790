"""Clean and robust accuracy over a test set (section 5.2, appendix D), each with its confidence interval.

Robust accuracy is measured block by block (`pag.evaluation.blocks`), under any attacks: AutoAttack, PGD with restarts, Foolbox's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pag.attacks.harness import Ball, BlockAttack, check_finite
from pag.evaluation.blocks import Blocks, attack_in_blocks
from pag.evaluation.intervals import Estimate, Flags, normal_quantile, proportion
from pag.evaluation.metrics import Attacked, AutoAttacked
from pag.evaluation.network import device_of

__all__ = ["Robustness", "evaluate", "predictions"]


def predictions(model: nn.Module, images: Tensor, batch_size: int = 256) -> Tensor:
    """The predicted class of each of `images`, `(N, *)`; `(N,)` int64 on the CPU. The model's mode is the caller's.

    Raises:
        FloatingPointError: the logits of an example are not finite.
    """
    device = device_of(model)
    parts = []
    with torch.no_grad():
        for numbers, x in zip(torch.arange(len(images)).split(batch_size), images.split(batch_size), strict=True):
            logits = model(x.to(device))
            check_finite(logits, numbers)
            parts.append(logits.argmax(dim=1).cpu())
    return torch.cat(parts)


@dataclass(frozen=True)
class Robustness:
    """The outcome of an attack on N examples.

    Attributes:
        norm: what ε is measured in.
        eps: the largest perturbation that counts.
        clean: `(N,)` bool, right without an attack.
        robust: for each part of the attack, in order, `(N,)` bool: still right after it and those before it.
        confidence: of the interval.
        holds: `(N,)` bool, whether the adversarial example, where one was found, is one when it is read again
            (`pag.evaluation.rereading`); None where that was not looked at.
    """

    norm: str
    eps: float
    clean: Flags
    robust: Mapping[str, Flags]
    confidence: float = 0.95
    holds: Flags | None = None

    @property
    def withstood(self) -> Flags:
        """`(N,)` bool, right after every part of the attack."""
        return list(self.robust.values())[-1]

    @property
    def accuracy(self) -> Estimate:
        """The robust accuracy: the share that withstood the attack."""
        return proportion(self.withstood, self.confidence)

    def followed_by(self, further: "Robustness", rows: NDArray[np.int64]) -> "Robustness":
        """The outcome with the parts of further attacks, which were run on the examples `rows` alone."""
        robust = dict(self.robust)
        for name, flags in further.robust.items():
            robust[name] = self.withstood.copy()
            robust[name][rows] &= flags
        held = None if self.holds is None else self.holds.copy()
        if held is not None and further.holds is not None:
            held[rows] &= further.holds
        return replace(self, robust=robust, holds=held)

    def measured(self) -> Attacked:
        """The form it has in `metrics.json`."""
        return Attacked(norm=self.norm, eps=self.eps, **dict(self.accuracy))

    def measured_by_part(self) -> AutoAttacked:
        """The form that AutoAttack has there, with the accuracy that is left after each part."""
        attacks = {name: float(flags.mean()) for name, flags in self.robust.items()}
        return AutoAttacked(attacks=attacks, **dict(self.measured()))


def evaluate(
    model_loader: Callable[[], nn.Module],
    images: Tensor,
    labels: Tensor,
    attacks: Mapping[str, BlockAttack],
    blocks: Blocks,
    *,
    confidence: float = 0.95,
    description: str = "attacks",
) -> dict[str, Robustness]:
    """Robust accuracy under each attack on its own; arguments and errors as of `attack_in_blocks`.

    Args:
        attacks: by any name, at least one; what a block draws depends on the attack, not on the name.
        confidence: of the intervals.

    Returns:
        The outcome of each attack, in the order of `attacks`.
    """
    normal_quantile(confidence)  # fails before the work where it is out of range
    outcomes = attack_in_blocks(model_loader, images, labels, attacks, blocks, description)
    threats = {name: attack.threat for name, attack in attacks.items()}
    return {name: _robustness(threats[name], flags, confidence) for name, flags in outcomes.items()}


def _robustness(ball: Ball, flags: dict[str, Flags], confidence: float) -> Robustness:
    clean, held = flags.pop("clean"), flags.pop("holds")
    return Robustness(ball.norm, ball.eps, clean, flags, confidence, held)
