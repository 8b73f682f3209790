"""Targeted examples at a ladder of ε: what a network takes each class to look like (figures 1, 2 and 9).

Each ε is an attack of its own, from the image itself: the frames of a ladder are no path of one attack.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pag.attacks.pgd import PGD, step_size
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.vocabulary import NormName
from pag.evaluation.network import device_of

__all__ = ["Frames", "targeted_frames"]


@dataclass(frozen=True)
class Frames:
    """What n images become on their way to K classes, at E values of ε.

    Attributes:
        images: `(n, K, E, ch, H, W)` uint8, rounded.
        probabilities: `(n, K, E, C)` float32, what the network says of each, before it is rounded.
    """

    images: Tensor
    probabilities: Tensor


def targeted_frames(
    model: nn.Module,
    images: Tensor,
    classes: int,
    norm: NormName,
    epsilons: Sequence[float],
    steps: int,
    relative_step: float,
) -> Frames:
    """Targeted PGD from each image to each of the first classes.

    Args:
        model: in evaluation mode; `(B, ch, H, W)` in [0, 1] to logits `(B, C)`.
        images: `(n, ch, H, W)` in [0, 1].
        classes: K.
        norm: of the perturbation.
        epsilons: E of them; at 0 the frame is the image itself.
        steps: of each attack.
        relative_step: α in units of ε / steps.

    Raises:
        InputError: there is no ε, no class, or fewer than K of them.
    """
    images = images.to(device_of(model))
    with torch.no_grad():
        num_classes = model(images[:1]).shape[1]
    if not epsilons or not 1 <= classes <= num_classes:
        raise InputError(
            f"Targeted frames need an epsilon and 1 to {num_classes} classes, not {len(epsilons)} and {classes}."
        )
    shape = (len(images), classes)
    x = images.repeat_interleave(classes, dim=0)
    towards = torch.arange(classes, device=images.device).repeat(len(images))
    frames, probabilities = [], []
    for eps in epsilons:
        x_adv = x if eps == 0 else _attack(norm, eps, steps, relative_step)(model, x, towards)
        with torch.no_grad():
            probabilities.append(model(x_adv).softmax(1).reshape(*shape, -1))
        frames.append((255 * x_adv).round().to(torch.uint8).reshape(*shape, *images.shape[1:]))
    return Frames(torch.stack(frames, dim=2).cpu(), torch.stack(probabilities, dim=2).cpu())


def _attack(norm: NormName, eps: float, steps: int, relative_step: float) -> PGD:
    step = step_size(relative_step, eps, steps)
    return PGD(Threat(norm, eps), steps, step, random_start=False, targeted=True)
