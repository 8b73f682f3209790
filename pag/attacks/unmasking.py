"""What is tried where standard attacks may have missed an example because gradients are masked (Athalye et al., 2018).

PGD on the margin, which no scale of the logits hides, with many steps and starts; transfer from a substitute; and Square with more
queries.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pyautoattack.square import SquareAttack
from torch import Tensor, nn

from pag.attacks.harness import Perturb
from pag.attacks.pgd import PGD, step_size
from pag.attacks.restarted_pgd import RestartedPGD
from pag.attacks.square import counting_ties
from pag.attacks.substitute import SubstituteTransfer
from pag.attacks.threats import Threat

__all__ = ["Unmasking"]

SMALLEST = 5  # pixels that Square's L2 form needs each way


@dataclass(frozen=True)
class Unmasking:
    """Further attacks on a block: `pgd-margin`, `substitute` and `square-more`.

    Attributes:
        threat: the ball.
        steps, restarts: of PGD.
        rounds: of the substitute's training.
        queries: of Square; four times as many as in AutoAttack's standard version.
    """

    threat: Threat
    steps: int = 50
    restarts: int = 5
    rounds: int = 8
    queries: int = 20_000

    @property
    def title(self) -> str:
        return "Further attacks"

    @property
    def stream(self) -> str:
        return f"further {self.threat.norm} {self.threat.eps!r}"

    def parts(self, model: nn.Module, x: Tensor, num_classes: int, seed: int) -> Mapping[str, Perturb]:
        """The attacks by name, each of which starts from the seed; without Square where images are too small for it."""
        pgd = PGD(
            self.threat, self.steps, step_size(2.5, self.threat.eps, self.steps), random_start=True, loss="margin"
        )
        parts = {
            "pgd-margin": RestartedPGD(pgd, self.restarts).parts(model, x, num_classes, seed)["pgd"],
            **SubstituteTransfer(self.threat, self.rounds).parts(model, x, num_classes, seed),
        }
        if self.threat.norm == "l2" and min(x.shape[2:]) < SMALLEST:
            return parts
        return parts | {"square-more": lambda images, labels: self._square(model, images, labels, seed)}

    def _square(self, model: nn.Module, x: Tensor, labels: Tensor, seed: int) -> Tensor:
        attack = counting_ties(
            SquareAttack(
                model, norm=self.threat.norm.capitalize(), n_queries=self.queries, eps=self.threat.eps, p_init=0.8, n_restarts=1,
                seed=seed, verbose=False, device=x.device, resc_schedule=False,
            )
        )  # fmt: skip
        with torch.no_grad():
            found: Tensor = attack.perturb(x, labels)
        return found
