"""Rivals: the classes that a network takes an image for instead of its own, drawn with the network's own probabilities

    c ~ softmax_{c≠y}(f(x) / T).

The k largest of `f(x) / T + G`, where G is Gumbel noise, are k such draws without replacement. The noise is −∞ where a class cannot
be drawn: the image's own, and those that it has no targets of.
"""

import torch
from torch import Tensor

__all__ = ["barred", "gumbel", "margins_over", "rivals"]


def gumbel(like: Tensor, num_classes: int, generator: torch.Generator) -> Tensor:
    """Gumbel noise `(B, C)` for examples like `(B, *)`, drawn on the CPU."""
    noise = torch.empty(len(like), num_classes, dtype=like.dtype).exponential_(generator=generator)
    return noise.log().neg().to(like.device)


def barred(noise: Tensor, labels: Tensor, allowed: Tensor) -> Tensor:
    """`noise` `(B, C)`, but −∞ for labels `(B,)` and for whatever is not among the classes allowed, `(B, m)` int64."""
    only = torch.full_like(noise, -torch.inf).scatter(1, allowed, noise.gather(1, allowed))
    return only.scatter(1, labels.unsqueeze(1), -torch.inf)


def rivals(logits: Tensor, noise: Tensor, temperature: float, k: int) -> Tensor:
    """k classes an image, `(B, k)` int64, for logits and noise `(B, C)` and the temperature T; nothing flows back to the logits."""
    return (logits.detach().to(noise.dtype) / temperature + noise).topk(k, dim=1).indices


def margins_over(logits: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
    """`m_c = f_y − f_c` of labels `(B,)` over classes `(B, k)`: `(B, k)`, positive where the label wins."""
    return logits.gather(1, labels.unsqueeze(1)) - logits.gather(1, classes)
