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

from pag.attacks.threats import Threat
from pag.errors import InputError

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
_ROUNDING = 1e-4  # of logits and sizes, relative; float32 in batches of other sizes


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

    Torch's global random state, and the gradients and `requires_grad` of the parameters, are left as they were.

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
    with torch.no_grad(), _quiet(), _random_state_kept(x.device), _parameters_frozen(model):
        logits = _checked_logits(model, x)
        _check_fits(x, logits.shape[1], threat, attacks)
        suite = _suite(model, threat, seed, logits.shape[1], x.device)
        clean = robust = logits.argmax(dim=1) == labels
        x_adv, robust_after = x.clone(), {}
        for name in attacks:
            robust = _attack(model, _ATTACKS[name](suite), x, labels, robust, x_adv)
            robust_after[name] = robust
        outcome = BlockOutcome(clean, robust_after, x_adv)
        _check_outcome(model, x, labels, threat, outcome)
    return outcome


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


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    """The attacks seed torch's global generators; here they get their states back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@contextmanager
def _parameters_frozen(model: nn.Module) -> Iterator[None]:
    """FAB calls `backward`, which would add to the gradients of parameters."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def _checked_logits(model: nn.Module, x: Tensor) -> Tensor:
    if any(module.training for module in model.modules()):
        raise RuntimeError("AutoAttack needs the model in evaluation mode; call model.eval() first.")
    logits: Tensor = model(x)
    if not logits.isfinite().all():
        raise RuntimeError("The model's logits are not finite.")
    if not torch.allclose(logits, model(x), rtol=_ROUNDING, atol=_ROUNDING * float(logits.abs().max())):
        raise RuntimeError(
            "Two forward passes of the model differ; AutoAttack's standard version does not measure random models."
        )
    return logits


def _check_fits(x: Tensor, num_classes: int, threat: Threat, attacks: Sequence[str]) -> None:
    unknown = [name for name in attacks if name not in _ATTACKS]
    if unknown or not attacks:
        raise InputError(f"Unknown attacks {', '.join(unknown) or '(none given)'}; known are {', '.join(_ATTACKS)}.")
    if "apgd-t" in attacks and num_classes < 4:
        raise InputError(f"AutoAttack's apgd-t needs at least 4 classes, and the model has {num_classes}.")
    if "square" in attacks and threat.norm == "l2" and min(x.shape[2:]) < 5:
        raise InputError("AutoAttack's L2 square attack needs images of at least 5 by 5 pixels.")
    if x.min() < 0 or x.max() > 1:
        raise InputError(f"AutoAttack needs pixels in [0, 1]; these go from {float(x.min())} to {float(x.max())}.")


def _check_outcome(model: nn.Module, x: Tensor, labels: Tensor, threat: Threat, outcome: BlockOutcome) -> None:
    """Raises RuntimeError where an outcome contradicts the threat, the pixels, the model or the order of attacks."""
    x_adv = outcome.x_adv
    largest = float(threat.size(x_adv - x).max())
    if not largest <= threat.eps * (1 + _ROUNDING):
        raise RuntimeError(f"AutoAttack left its ball: a perturbation of size {largest}, and eps is {threat.eps}.")
    if not (x_adv.min() >= 0 and x_adv.max() <= 1):
        raise RuntimeError("AutoAttack left the pixels' range [0, 1].")
    flags = [outcome.clean, *outcome.robust.values()]
    if any((after & ~before).any() for before, after in pairwise(flags)):
        raise RuntimeError("An example counts as robust after an attack, though it was lost before.")
    logits = model(x_adv)
    margin = torch.where(flags[-1], _margin(logits, labels), -_margin(logits, labels))
    if not (margin >= -_ROUNDING * logits.abs().amax(dim=1)).all():
        raise RuntimeError("The model's predictions on the adversarial examples contradict AutoAttack's flags.")


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    """By how much the true class's logit exceeds the largest other one, `(B,)`."""
    own = labels.unsqueeze(1)
    return (logits.gather(1, own) - logits.scatter(1, own, -torch.inf)).amin(dim=1)
