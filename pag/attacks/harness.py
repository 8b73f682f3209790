"""What attacks did to one block of examples, and what every outcome must satisfy before it is believed.

Attacks are given a deterministic model in evaluation mode. They run one after another, each on the examples that withstood those
before it. What they return must lie within ε and within the pixels' range, and the model's predictions on it decide who is robust.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pag.attacks.margins import margins
from pag.attacks.pace import Told, paced
from pag.base.errors import InputError

__all__ = ["Ball", "BlockAttack", "Outcome", "Perturb", "attack_block", "check_ball", "check_finite"]

ROUNDING = 1e-4  # of logits and sizes, relative; float32 in batches of other sizes

Perturb = Callable[[Tensor, Tensor], Tensor]
"""An attack as a function: images `(B, ch, H, W)` and their labels `(B,)` to perturbed images; where it fails, unchanged ones."""


class Ball(Protocol):
    """The perturbations that count: those of at most ε in some norm."""

    @property
    def norm(self) -> str:
        """What ε is measured in."""

    @property
    def eps(self) -> float:
        """ε > 0."""

    def size(self, delta: Tensor) -> Tensor:
        """The norm of each perturbation of `delta`, `(B, ch, H, W)`; shape `(B,)`."""


class BlockAttack(Protocol):
    """One attack or several within one ball: a picklable value whose `repr` contains everything that its outcome depends on."""

    @property
    def title(self) -> str:
        """Its name in messages."""

    @property
    def stream(self) -> str:
        """Names the random stream that the seeds of blocks are drawn from; attacks of the same stream start alike."""

    @property
    def threat(self) -> Ball:
        """What it may do."""

    def parts(self, model: nn.Module, x: Tensor, num_classes: int, seed: int) -> Mapping[str, Perturb]:
        """Its attacks on a block `x` by name, in the order to run; InputError where they cannot work on such a block."""


@dataclass(frozen=True)
class Outcome:
    """What attacks did to B examples.

    Attributes:
        clean: `(B,)` bool, whether the model is right without an attack.
        robust: for each attack, in order, `(B,)` bool: whether the model is still right after it and those before it.
        x_adv: `(B, ch, H, W)` float32: the adversarial example where one was found, the image itself elsewhere.
    """

    clean: Tensor
    robust: Mapping[str, Tensor]
    x_adv: Tensor


def attack_block(
    attack: BlockAttack,
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    seed: int,
    first: int = 0,
    told: Told | None = None,
) -> Outcome:
    """Attacks the examples of a block that the model gets right, in a single batch, and checks the outcome.

    The global random states of Python, NumPy and torch, and the gradients and `requires_grad` of the parameters, are left as
    they were.

    Args:
        attack: what is run.
        model: `(B, ch, H, W)` to logits `(B, C)`, deterministic and in evaluation mode.
        x: images `(B, ch, H, W)` in [0, 1], on the model's device.
        labels: `(B,)` int64.
        seed: of everything that the attack draws, in [0, 2³²).
        first: the place of the block's first example in the test set, for messages.
        told: is told how far the block is, where its attacks say how long they are.

    Raises:
        InputError: a pixel is outside [0, 1], or the attack cannot work on such images or so few classes.
        FloatingPointError: the model's logits of an example are not finite, with an attack or without.
        RuntimeError: the model is in training mode or random, or the outcome fails a check (perturbation outside the ball or
            outside [0, 1], or flags that the model's predictions on `x_adv` contradict).
    """
    x = x.detach().float()
    _check_pixels(attack.title, x)
    with _random_state_kept(x.device), _parameters_frozen(model):
        numbers = torch.arange(first, first + len(x))
        logits = _checked_logits(attack.title, model, x, numbers)
        clean = robust = logits.argmax(dim=1) == labels
        x_adv, robust_after = x.clone(), {}
        parts = attack.parts(model, x, logits.shape[1], seed)
        for name, perturb in parts.items():
            with paced(model, parts, name, told):
                robust = _withstood(name, model, perturb, x, labels, numbers, robust, x_adv)
            robust_after[name] = robust
        _check_outcome(attack, model, x, labels, robust, x_adv)
    return Outcome(clean, robust_after, x_adv)


def check_finite(logits: Tensor, numbers: Tensor, where: str = "") -> None:
    """Checks the logits `(B, C)` of the examples that have these numbers, `(B,)`; `where` says what was done to them.

    Raises:
        FloatingPointError: a logit is not finite.
    """
    broken = ~logits.isfinite().all(dim=1).cpu()
    if broken.any():
        number = int(numbers[broken][0])
        raise FloatingPointError(f"The model's logits of test example {number}{where} are not finite.")


def check_ball(attack: BlockAttack, x: Tensor, x_adv: Tensor) -> None:
    """Checks the perturbations of images `x` to `x_adv`, `(B, ch, H, W)`.

    Raises:
        RuntimeError: one is larger than the attack's ε.
    """
    largest, eps = float(attack.threat.size(x_adv - x).max()), attack.threat.eps
    if not largest <= eps * (1 + ROUNDING):
        raise RuntimeError(f"{attack.title} left its ball: a perturbation of size {largest}, and eps is {eps}.")


def _withstood(
    name: str,
    model: nn.Module,
    perturb: Perturb,
    x: Tensor,
    labels: Tensor,
    numbers: Tensor,
    robust: Tensor,
    x_adv: Tensor,
) -> Tensor:
    """Attacks the examples that are still robust; writes what it finds into `x_adv` and returns who is robust afterwards."""
    rows = robust.nonzero().flatten()
    if len(rows) == 0:
        return robust
    found = perturb(x[rows], labels[rows]).detach()
    with torch.no_grad():
        logits = model(found)
    if found.isfinite().all():  # else the attack is to blame, and the outcome's check tells
        check_finite(logits, numbers[rows.cpu()], f" under {name}")
    fooled = logits.argmax(dim=1) != labels[rows]
    x_adv[rows[fooled]] = found[fooled]
    robust = robust.clone()
    robust[rows[fooled]] = False
    return robust


@torch.no_grad()
def _checked_logits(attacker: str, model: nn.Module, x: Tensor, numbers: Tensor) -> Tensor:
    """The logits of `x`.

    Raises:
        FloatingPointError: they are not finite.
        RuntimeError: the model is in training mode, or its logits differ from call to call.
    """
    if any(module.training for module in model.modules()):
        raise RuntimeError(f"{attacker} needs the model in evaluation mode; call model.eval() first.")
    logits: Tensor = model(x)
    check_finite(logits, numbers)
    if not torch.allclose(logits, model(x), rtol=ROUNDING, atol=ROUNDING * float(logits.abs().max())):
        raise RuntimeError(f"Two forward passes of the model differ; {attacker} does not measure random models.")
    return logits


def _check_pixels(attacker: str, x: Tensor) -> None:
    """Raises InputError where a pixel is outside [0, 1]."""
    if x.min() < 0 or x.max() > 1:
        raise InputError(f"{attacker} needs pixels in [0, 1]; these go from {float(x.min())} to {float(x.max())}.")


@torch.no_grad()
def _check_outcome(
    attack: BlockAttack, model: nn.Module, x: Tensor, labels: Tensor, robust: Tensor, x_adv: Tensor
) -> None:
    """Raises RuntimeError where `robust` and `x_adv`, as in `Outcome`, contradict ε, the pixels' range or the model."""
    check_ball(attack, x, x_adv)
    if not (x_adv.min() >= 0 and x_adv.max() <= 1):
        raise RuntimeError(f"{attack.title} left the pixels' range [0, 1].")
    logits = model(x_adv)
    margin = margins(logits, labels)
    contradicted = torch.where(robust, margin, -margin)
    if not (contradicted <= ROUNDING * logits.abs().amax(dim=1)).all():
        raise RuntimeError(f"The model's predictions on the adversarial examples contradict {attack.title}'s flags.")


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    """Attack libraries seed and draw from the global generators; here those get their states back."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def _parameters_frozen(model: nn.Module) -> Iterator[None]:
    """Attack libraries call `backward`, which would add to the gradients of parameters."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
