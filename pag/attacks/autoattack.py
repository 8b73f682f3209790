"""AutoAttack, standard version (Croce and Hein, 2020), on one block of examples: sections 2.1 and 5.2.

Four attacks without parameters, each on the examples that withstood those before it: APGD on the cross-entropy, APGD on
the targeted DLR loss, targeted FAB, and Square. The attacks are those of the package `pyautoattack`; here they are
run one by one (`pag.attacks.harness`), so that the outcome of each is known and what they return is checked.

The targeted DLR loss divides by a difference of the first, third and fourth logits, and so needs four classes. With three the
untargeted DLR loss stands in its place (`apgd-dlr`), with two, where that has no third logit to divide by, the margin itself
(`apgd-margin`). Outcomes bear the name of the attack that was run: none passes for the standard version.

They draw for a whole batch, so the outcome is a function of (model, block, threat, seed) and a block is never split.
"""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyautoattack
import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from torch import Tensor, nn

from pag.attacks.autoattack_parts import STANDARD, fitting
from pag.attacks.harness import Perturb
from pag.attacks.margins import margins
from pag.attacks.pace import Paced
from pag.attacks.square import counting_ties
from pag.attacks.threats import Threat
from pag.base.errors import InputError

__all__ = ["AutoAttack"]


def _apgd_dlr(suite: pyautoattack.AutoAttack) -> Any:  # noqa: ANN401
    attack = copy.copy(suite.apgd)
    attack.loss = "dlr"
    return attack


def _apgd_margin(suite: pyautoattack.AutoAttack) -> Any:  # noqa: ANN401
    """APGD on the numerator of the DLR loss, which is the package's name for whatever stands in that method."""
    attack = _apgd_dlr(suite)
    attack.dlr_loss = margins
    return attack


_ATTACKS: Mapping[str, Callable[[pyautoattack.AutoAttack], Any]] = {
    "apgd-ce": lambda suite: suite.apgd,
    "apgd-t": lambda suite: suite.apgd_targeted,
    "apgd-dlr": _apgd_dlr,
    "apgd-margin": _apgd_margin,
    "fab-t": lambda suite: suite.fab,
    "square": lambda suite: counting_ties(suite.square),
}


@dataclass(frozen=True)
class AutoAttack:
    """An attack on a block; the flags are those of `pyautoattack.AutoAttack(…, seed=seed)` on the block in one batch.

    Attributes:
        threat: the ball.
        attacks: those of `STANDARD`, `apgd-dlr` and `apgd-margin`, in the order to run.
        iterations: of APGD, at least 1; the default is the standard version's.
        targets: of `apgd-t` and `fab-t`, at least 1, likewise; with C classes there are C − 1 at most.

    Raises:
        InputError: an attack is unknown, or none is given, or one would do nothing.
    """

    threat: Threat
    attacks: tuple[str, ...] = STANDARD
    iterations: int = 100
    targets: int = 9

    def __post_init__(self) -> None:
        unknown = [name for name in self.attacks if name not in _ATTACKS]
        if unknown or not self.attacks:
            raise InputError(
                f"Unknown attacks {', '.join(unknown) or '(none given)'}; known are {', '.join(_ATTACKS)}."
            )
        if min(self.iterations, self.targets) < 1:
            raise InputError(f"APGD needs at least one iteration and target, not {self.iterations} and {self.targets}.")

    @property
    def title(self) -> str:
        return "AutoAttack"

    @property
    def stream(self) -> str:
        return f"AutoAttack {self.threat.norm} {self.threat.eps!r}"

    def parts(self, model: nn.Module, x: Tensor, num_classes: int, seed: int) -> Mapping[str, Perturb]:
        """The attacks by name, each of which starts from the seed; with fewer than 4 classes `apgd-t` is another.

        Raises:
            InputError: an attack cannot work on such images, or there is no second class.
        """
        self._check_fits(x, num_classes)
        with _quiet():
            suite = self._suite(model, seed, num_classes, x.device)
        names = [fitting(name, num_classes) for name in self.attacks]
        return {name: Paced(_perturb(_ATTACKS[name](suite)), self._passes(name, suite)) for name in names}

    def _passes(self, name: str, suite: pyautoattack.AutoAttack) -> int:
        """Forward passes of an attack on a block that withstands it, as the package has it."""
        own, targets = self.iterations + 2, suite.fab.n_target_classes
        of_others = {
            "apgd-t": 1 + targets * own,
            "fab-t": 1 + targets * (2 * suite.fab.n_iter + 3),
            "square": suite.square.n_queries + 3,
        }
        return int(of_others.get(name, own))

    def _suite(self, model: nn.Module, seed: int, num_classes: int, device: torch.device) -> pyautoattack.AutoAttack:
        """The package's attacks, all seeded alike."""
        norm, eps = self.threat.norm.capitalize(), self.threat.eps  # the package writes `L2` and `Linf`
        suite = pyautoattack.AutoAttack(model, norm=norm, eps=eps, seed=seed, device=device, version="standard")
        suite.fab.targeted = True
        suite.fab.n_target_classes = min(self.targets, num_classes - 1)
        options = {"n_iter": self.iterations, "norm": norm, "eps": eps, "seed": seed, "device": device}
        suite.apgd = APGDAttack(model, n_restarts=1, logger=suite.logger, **options)
        suite.apgd_targeted = APGDAttack_targeted(
            model, n_target_classes=suite.fab.n_target_classes, logger=suite.logger, **options
        )
        return suite

    def _check_fits(self, x: Tensor, num_classes: int) -> None:
        if num_classes < 2:
            raise InputError("AutoAttack needs a model of at least 2 classes, and this one has a single logit.")
        if "square" in self.attacks and self.threat.norm == "l2" and min(x.shape[2:]) < 5:
            raise InputError("AutoAttack's L2 square attack needs images of at least 5 by 5 pixels.")


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
