"""Training on adversarial examples: adversarial training (eq. 3) and TRADES (appendix G.3)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pag.attacks.pgd import PGD
from pag.training.objectives.base import BaseObjective, Batch, Network

__all__ = ["AdversarialTraining", "Trades"]


@dataclass(frozen=True)
class AdversarialTraining(BaseObjective):
    """Adversarial training, eq. (3): cross-entropy at the points that `attack` finds (appendix G.2: PGD of 7 steps of 1.5 ε/7).

    The attack sees the network in evaluation mode, as in the implementation that the paper follows (Zhang et al., 2019).

    With one step of 1.25 ε from a random start it is the fast adversarial training of Wong et al. (2020; FGSM), but for the mode.
    It can overfit to its single step, all of a sudden: accuracy under PGD then falls to zero while that under FGSM rises.
    """

    attack: PGD

    def parts(
        self, network: Network, batch: Batch, generator: torch.Generator, logits: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        x_adv = network.perturbed(self.attack, batch.x, batch.labels, generator)
        loss = functional.cross_entropy(network(x_adv), batch.labels)
        return {"loss": loss, "cross_entropy": loss}

    def forwards(self, shares_logits: bool = False) -> int:
        return self.attack.forwards + 3


@dataclass(frozen=True)
class Trades(BaseObjective):
    """TRADES (Zhang et al., 2019; appendix G.3): `L_CE(f_θ(x), y) + β KL(f_θ(x) ‖ f_θ(x_adv))`, with gradients through both.

    Attributes:
        attack: finds x_adv, in evaluation mode like the original: by 10 steps of 0.007 that ascend the divergence.
        beta: β ≥ 0, 6 in the original; what 1/λ is there.

    Both terms share one pass of x. The original has one for each, so that batch norm's running statistics are updated three times a
    step there, by x, x_adv and x again, and here twice, by x and x_adv; losses and their gradients are the same but for dropout.
    """

    attack: PGD
    beta: float

    def parts(
        self, network: Network, batch: Batch, generator: torch.Generator, logits: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        x_adv = network.perturbed(self.attack, batch.x, batch.labels, generator)
        natural = logits()
        cross_entropy = functional.cross_entropy(natural, batch.labels)
        log_p, log_q = (functional.log_softmax(z, dim=1) for z in (natural, network(x_adv)))
        kl = functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
        return {"loss": cross_entropy + self.beta * kl, "cross_entropy": cross_entropy, "kl": kl}

    def forwards(self, shares_logits: bool = False) -> int:
        return self.attack.forwards + (3 if shares_logits else 6)
