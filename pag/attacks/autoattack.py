"""AutoAttack, standard version (Croce and Hein, 2020), on one block of examples: sections 2.1 and 5.2.

Four attacks without parameters, each on the examples that withstood those before it: APGD on the cross-entropy, APGD on
the targeted DLR loss, targeted FAB, and Square. The attacks are those of the package `pyautoattack`; here they are
driven one by one, so that the outcome of each is known, and what they return is checked.

They draw for a whole batch, so the outcome is a function of (model, block, threat, seed) and a block is never split.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from pag.attacks.harness import check_perturbed, check_pixels, checked_logits, parameters_frozen, random_state_kept
from pag.attacks.threats import Threat
from pag.base.errors import InputError

__all__ = ["STANDARD", "BlockOutcome", "run_block"]

STANDARD = ("apgd-ce", "apgd-t", "fab-t", "square")

_NORMS: Mapping[str, str] = {"l2": "L2", "linf": "Linf"}
_ATTACKS: Mapping[str, Callable[[AutoAttack], Any]] = {
    "apgd-ce": lambda suite: suite.apgd,
    "apgd-t": lambda suite: suite.apgd_targeted,
    "fab-t": lambda suite: suite.fab,
    "square": lambda suite: suite.square,
}
_MAX_TARGETS = 9  # of the standard version


@dataclass(frozen=True)
class BlockOutcome:
    """What AutoAttack did to B examples.

    Attributes:
        clean: `(B,)` bool, whether the model is right without an attack.
        robust: for each attack, in order, `(B,)` bool: whether the model is still right after it and those before it.
        x_adv: `(B, ch, H, W)` float32: the adversarial example where one was found, the image itself elsewhere.
    """

    clean: Tensor
    robust: Mapping[str, Tensor]
    x_adv: Tensor


def run_block(
    model: nn.Module, x: Tensor, labels: Tensor, threat: Threat, seed: int, attacks: Sequence[str] = STANDARD
) -> BlockOutcome:
    """Attacks one block in a single batch; the flags are those of `AutoAttack(…, seed=seed)` on the block in one batch.

    The global random states, and the gradients and `requires_grad` of the parameters, are left as they were.

    Args:
        model: `(B, ch, H, W)` to logits `(B, C)`, deterministic and in evaluation mode.
        x: images `(B, ch, H, W)` in [0, 1], on the model's device.
        labels: `(B,)` int64.
        threat: the ball.
        seed: of the attacks, non-negative; each of them starts from it.
        attacks: names out of `STANDARD`, in the order to run.

    Raises:
        InputError: an attack cannot work on such images or so few classes.
        RuntimeError: the model is in training mode or random, or the outcome fails a check (perturbation outside the
            ball or outside [0, 1], or flags that the model's predictions on `x_adv` contradict).
    """
    x = x.detach().float()
    check_pixels("AutoAttack", x)
    with torch.no_grad(), _quiet(), random_state_kept(x.device), parameters_frozen(model):
        logits = checked_logits("AutoAttack", model, x)
        _check_fits(x, logits.shape[1], threat, attacks)
        suite = _suite(model, threat, seed, logits.shape[1], x.device)
        clean = robust = logits.argmax(dim=1) == labels
        x_adv, robust_after = x.clone(), {}
        for name in attacks:
            robust = _attack(model, _ATTACKS[name](suite), x, labels, robust, x_adv)
            robust_after[name] = robust
        _check_order(clean, robust_after)
        check_perturbed("AutoAttack", model, x_adv, labels, robust, threat.size(x_adv - x), threat.eps)
    return BlockOutcome(clean, robust_after, x_adv)


def _suite(model: nn.Module, threat: Threat, seed: int, num_classes: int, device: torch.device) -> AutoAttack:
    """The standard version's attacks, all seeded alike; fewer than 10 classes have fewer than 9 targets."""
    suite = AutoAttack(model, norm=_NORMS[threat.norm], eps=threat.eps, seed=seed, device=device, version="standard")
    suite.fab.targeted = True
    suite.fab.n_target_classes = suite.apgd_targeted.n_target_classes = min(_MAX_TARGETS, num_classes - 1)
    return suite


def _attack(
    model: nn.Module,
    attack: Any,  # noqa: ANN401
    x: Tensor,
    labels: Tensor,
    robust: Tensor,
    x_adv: Tensor,
) -> Tensor:
    """Runs one attack on the examples still robust; writes finds into `x_adv` and returns who is robust after it."""
    rows = robust.nonzero().flatten()
    if len(rows) == 0:
        return robust
    found = attack.perturb(x[rows], labels[rows]).detach()
    fooled = model(found).argmax(dim=1) != labels[rows]
    x_adv[rows[fooled]] = found[fooled]
    robust = robust.clone()
    robust[rows[fooled]] = False
    return robust


@contextmanager
def _quiet() -> Iterator[None]:
    """Holds back the package's notices (points with zero gradient, say); each attack's outcome tells what matters."""
    logger = logging.getLogger("auto-attack")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _check_fits(x: Tensor, num_classes: int, threat: Threat, attacks: Sequence[str]) -> None:
    unknown = [name for name in attacks if name not in _ATTACKS]
    if unknown or not attacks:
        raise InputError(f"Unknown attacks {', '.join(unknown) or '(none given)'}; known are {', '.join(_ATTACKS)}.")
    if "apgd-t" in attacks and num_classes < 4:
        raise InputError(f"AutoAttack's apgd-t needs at least 4 classes, and the model has {num_classes}.")
    if "square" in attacks and threat.norm == "l2" and min(x.shape[2:]) < 5:
        raise InputError("AutoAttack's L2 square attack needs images of at least 5 by 5 pixels.")


def _check_order(clean: Tensor, robust: Mapping[str, Tensor]) -> None:
    if any((after & ~before).any() for before, after in pairwise([clean, *robust.values()])):
        raise RuntimeError("An example counts as robust after an attack, though it was lost before.")
