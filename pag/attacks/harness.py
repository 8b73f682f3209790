"""What an attack did to one block of examples, and what every outcome must satisfy before it is believed.

An attack is given a deterministic model in evaluation mode, and only the examples that the model gets right. What it returns
must lie within ε and within the pixels' range, and the model's predictions on it decide who is robust.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pag.base.errors import InputError

__all__ = [
    "ROUNDING",
    "Outcome",
    "attack_block",
    "check_perturbed",
    "check_pixels",
    "checked_logits",
    "parameters_frozen",
    "random_state_kept",
]

ROUNDING = 1e-4  # of logits and sizes, relative; float32 in batches of other sizes


@dataclass(frozen=True)
class Outcome:
    """What one attack did to B examples.

    Attributes:
        clean: `(B,)` bool, whether the model is right without an attack.
        robust: `(B,)` bool, whether it is still right after it.
        x_adv: `(B, ch, H, W)` float32: the adversarial example where one was found, the image itself elsewhere.
    """

    clean: Tensor
    robust: Tensor
    x_adv: Tensor


def attack_block(
    attacker: str,
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    perturb: Callable[[Tensor, Tensor], Tensor],
    size: Callable[[Tensor], Tensor],
    eps: float,
) -> Outcome:
    """Attacks the examples of a block that the model gets right, in a single batch, and checks what comes of it.

    The global random states of Python, NumPy and torch, and the gradients and `requires_grad` of the parameters, are left as
    they were.

    Args:
        attacker: its name, for messages.
        model: `(B, ch, H, W)` to logits `(B, C)`, deterministic and in evaluation mode.
        x: images `(B, ch, H, W)` in [0, 1], on the model's device.
        labels: `(B,)` int64.
        perturb: the attack, from examples and labels to perturbed examples; it fails on an example that it does not change.
        size: of perturbations `(B, ch, H, W)`, `(B,)`.
        eps: the size allowed.

    Raises:
        InputError: a pixel is outside [0, 1].
        RuntimeError: the model is in training mode, random or without finite logits, or the outcome fails a check.
    """
    x = x.detach().float()
    check_pixels(attacker, x)
    with random_state_kept(x.device), parameters_frozen(model):
        with torch.no_grad():
            clean = checked_logits(attacker, model, x).argmax(dim=1) == labels
        rows = clean.nonzero().flatten()
        x_adv, robust = x.clone(), clean.clone()
        if len(rows) > 0:
            found = perturb(x[rows], labels[rows]).detach()
            with torch.no_grad():
                fooled = model(found).argmax(dim=1) != labels[rows]
            x_adv[rows[fooled]] = found[fooled]
            robust[rows[fooled]] = False
        with torch.no_grad():
            check_perturbed(attacker, model, x_adv, labels, robust, size(x_adv - x), eps)
    return Outcome(clean, robust, x_adv)


def checked_logits(attacker: str, model: nn.Module, x: Tensor) -> Tensor:
    """The logits of `x`.

    Raises:
        RuntimeError: the model is in training mode, its logits are not finite, or they differ from call to call.
    """
    if any(module.training for module in model.modules()):
        raise RuntimeError(f"{attacker} needs the model in evaluation mode; call model.eval() first.")
    logits: Tensor = model(x)
    if not logits.isfinite().all():
        raise RuntimeError("The model's logits are not finite.")
    if not torch.allclose(logits, model(x), rtol=ROUNDING, atol=ROUNDING * float(logits.abs().max())):
        raise RuntimeError(f"Two forward passes of the model differ; {attacker} does not measure random models.")
    return logits


def check_pixels(attacker: str, x: Tensor) -> None:
    """Raises InputError where a pixel is outside [0, 1]."""
    if x.min() < 0 or x.max() > 1:
        raise InputError(f"{attacker} needs pixels in [0, 1]; these go from {float(x.min())} to {float(x.max())}.")


def check_perturbed(
    attacker: str, model: nn.Module, x_adv: Tensor, labels: Tensor, robust: Tensor, sizes: Tensor, eps: float
) -> None:
    """Raises RuntimeError where an outcome contradicts ε, the pixels' range or the model.

    Args:
        attacker: its name.
        model: as the attack saw it.
        x_adv: `(B, ch, H, W)`, as in `Outcome`.
        labels: `(B,)`.
        robust: `(B,)` bool, as in `Outcome`.
        sizes: of the perturbations, `(B,)`.
        eps: the size allowed.
    """
    largest = float(sizes.max())
    if not largest <= eps * (1 + ROUNDING):
        raise RuntimeError(f"{attacker} left its ball: a perturbation of size {largest}, and eps is {eps}.")
    if not (x_adv.min() >= 0 and x_adv.max() <= 1):
        raise RuntimeError(f"{attacker} left the pixels' range [0, 1].")
    logits = model(x_adv)
    margin = torch.where(robust, _margin(logits, labels), -_margin(logits, labels))
    if not (margin >= -ROUNDING * logits.abs().amax(dim=1)).all():
        raise RuntimeError(f"The model's predictions on the adversarial examples contradict {attacker}'s flags.")


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    """By how much the true class's logit exceeds the largest other one, `(B,)`."""
    own = labels.unsqueeze(1)
    return (logits.gather(1, own) - logits.scatter(1, own, -torch.inf)).amin(dim=1)


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Attack libraries seed and draw from the global generators; here those get their states back."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def parameters_frozen(model: nn.Module) -> Iterator[None]:
    """Attack libraries call `backward`, which would add to the gradients of parameters."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
