"""AutoAttack, standard version (Croce and Hein, 2020), on one block of examples: sections 2.1 and 5.2.

Four attacks without parameters, each on the examples that withstood those before it: APGD on the cross-entropy, APGD on
the targeted DLR loss, targeted FAB, and Square. The attacks are those of the package `pyautoattack`; here they are
run one by one (`pag.attacks.harness`), so that the outcome of each is known and what they return is checked.

They draw for a whole batch, so the outcome is a function of (model, block, threat, seed) and a block is never split.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyautoattack
import torch
from torch import Tensor, nn

from pag.attacks.harness import Perturb
from pag.attacks.threats import Threat
from pag.base.errors import InputError

__all__ = ["STANDARD", "AutoAttack"]

STANDARD = ("apgd-ce", "apgd-t", "fab-t", "square")

_ATTACKS: Mapping[str, Callable[[pyautoattack.AutoAttack], Any]] = {
    "apgd-ce": lambda suite: suite.apgd,
    "apgd-t": lambda suite: suite.apgd_targeted,
    "fab-t": lambda suite: suite.fab,
    "square": lambda suite: suite.square,
}
_MAX_TARGETS = 9  # of the standard version


@dataclass(frozen=True)
class AutoAttack:
    """An attack on a block; the flags are those of `pyautoattack.AutoAttack(…, seed=seed)` on the block in one batch.

    Attributes:
        threat: the ball.
        attacks: names out of `STANDARD`, in the order to run.

    Raises:
        InputError: an attack is unknown, or none is given.
    """

    threat: Threat
    attacks: tuple[str, ...] = STANDARD

    def __post_init__(self) -> None:
        unknown = [name for name in self.attacks if name not in _ATTACKS]
        if unknown or not self.attacks:
            raise InputError(
                f"Unknown attacks {', '.join(unknown) or '(none given)'}; known are {', '.join(_ATTACKS)}."
            )

    @property
    def title(self) -> str:
        return "AutoAttack"

    @property
    def stream(self) -> str:
        return f"AutoAttack {self.threat.norm} {self.threat.eps!r}"

    def parts(self, model: nn.Module, x: Tensor, num_classes: int, seed: int) -> Mapping[str, Perturb]:
        """The attacks by name, each of which starts from the seed.

        Raises:
            InputError: an attack cannot work on such images or so few classes.
        """
        self._check_fits(x, num_classes)
        with _quiet():
            suite = _suite(model, self.threat, seed, num_classes, x.device)
        return {name: _perturb(_ATTACKS[name](suite)) for name in self.attacks}

    def _check_fits(self, x: Tensor, num_classes: int) -> None:
        if "apgd-t" in self.attacks and num_classes < 4:
            raise InputError(f"AutoAttack's apgd-t needs at least 4 classes, and the model has {num_classes}.")
        if "square" in self.attacks and self.threat.norm == "l2" and min(x.shape[2:]) < 5:
            raise InputError("AutoAttack's L2 square attack needs images of at least 5 by 5 pixels.")


def _suite(
    model: nn.Module, threat: Threat, seed: int, num_classes: int, device: torch.device
) -> pyautoattack.AutoAttack:
    """The standard version's attacks, all seeded alike; fewer than 10 classes have fewer than 9 targets."""
    norm = threat.norm.capitalize()  # the package writes `L2` and `Linf`
    suite = pyautoattack.AutoAttack(model, norm=norm, eps=threat.eps, seed=seed, device=device, version="standard")
    suite.fab.targeted = True
    suite.fab.n_target_classes = suite.apgd_targeted.n_target_classes = min(_MAX_TARGETS, num_classes - 1)
    return suite


def _perturb(attack: Any) -> Perturb:  # noqa: ANN401
    def perturb(x: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad(), _quiet():
            found: Tensor = attack.perturb(x, labels)
        return found

    return perturb


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the package's notices (points with zero gradient, say); the outcome of each attack shows what matters."""
    logger = logging.getLogger("auto-attack")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
