"""Adversarial examples read again, in float64, as somebody would who was handed them: are they what the outcome says?"""

import torch
from torch import Tensor, nn

from pag.attacks.harness import ROUNDING, Ball, Outcome
from pag.attacks.margins import margins

__all__ = ["holds"]


@torch.no_grad()
def holds(ball: Ball, model: nn.Module, x: Tensor, labels: Tensor, outcome: Outcome) -> Tensor:
    """Whether each adversarial example is inside the ball and inside [0, 1], measured in float64, and misclassified; `(B,)` bool.

    True where there is none. Sizes and logits may round as float32 does (`ROUNDING`, relative): attacks end on the ball's surface
    and, some of them, on the decision boundary.

    Args:
        ball: of the attack.
        model: in evaluation mode, in its own precision.
        x: the images, `(B, ch, H, W)`.
        labels: theirs, `(B,)`.
        outcome: of the attack.
    """
    withstood = list(outcome.robust.values())[-1]
    exact = outcome.x_adv.double()
    inside = ball.size(exact - x.double()) <= ball.eps * (1 + ROUNDING)
    in_range = ((exact >= 0) & (exact <= 1)).flatten(1).all(dim=1)
    logits = model(outcome.x_adv).double()
    fooled = margins(logits, labels) >= -ROUNDING * logits.abs().amax(dim=1)
    as_told: Tensor = inside & in_range & fooled
    return as_told | withstood | ~outcome.clean
