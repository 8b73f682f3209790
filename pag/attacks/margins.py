"""The margin: by how much another class's logit exceeds that of the label; positive where a prediction is another one."""

import torch
from torch import Tensor

__all__ = ["margins"]


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """The largest other logit minus that of the label, `(B,)`, of logits `(B, C)`, C ≥ 2, and labels `(B,)`."""
    own = labels.unsqueeze(1)
    return logits.scatter(1, own, -torch.inf).amax(dim=1) - logits.gather(1, own).squeeze(1)
