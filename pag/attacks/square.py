"""Square (Andriushchenko et al., 2020), the package's, with ties counted as successes from its first query on."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["counting_ties"]


def counting_ties(square: Any) -> Any:  # noqa: ANN401
    """The package's attack, for which a tie between the true class and another is a success at every query.

    It counts one so in its loop but not before it, and fails there once ties are all that is left, as for constant logits. No other
    margin is altered.

    Args:
        square: a `pyautoattack.square.SquareAttack`; it is altered.
    """
    margin_and_loss, below_zero = square.margin_and_loss, -torch.finfo(torch.float32).tiny

    def ties_lost(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        least, loss = margin_and_loss(x, labels)
        return torch.where(least == 0, below_zero, least), loss

    square.margin_and_loss = ties_lost
    return square
