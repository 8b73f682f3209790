"""Transfer from a substitute (Papernot et al., 2017): an attack that needs nothing of a network but its decisions.

A small network learns to answer as the one under attack does, at the examples with random noise and, round by round, at its own
adversarial examples; those are tried on the network under attack. Masked gradients, saturated outputs and decisions alone do not
hinder it, since it follows the gradients of the substitute.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pag.attacks.harness import Perturb
from pag.attacks.pgd import PGD, step_size
from pag.attacks.threats import Threat

__all__ = ["SubstituteTransfer"]

CHANNELS = 32
SIDE = 8  # of the images as the substitute sees them, or up to twice that
LEARNING_RATE = 3e-3
BATCH = 256
ATTACK_STEPS = 20


@dataclass(frozen=True)
class SubstituteTransfer:
    """The attack on a block of examples.

    Attributes:
        threat: the ball.
        rounds: how often the substitute is trained further and attacked.
        training_steps: of each round.
    """

    threat: Threat
    rounds: int = 8
    training_steps: int = 100

    @property
    def title(self) -> str:
        return "Transfer from a substitute"

    @property
    def stream(self) -> str:
        return f"substitute {self.threat.norm} {self.threat.eps!r}"

    def parts(self, model: nn.Module, x: Tensor, num_classes: int, seed: int) -> Mapping[str, Perturb]:
        """The attack alone; the seed is of the substitute's weights and of the noise."""
        return {"substitute": lambda images, labels: self._perturb(model, images, labels, num_classes, seed)}

    def _perturb(self, model: nn.Module, x: Tensor, labels: Tensor, num_classes: int, seed: int) -> Tensor:
        torch.manual_seed(seed)  # the harness gives the global generator its state back
        generator = torch.Generator().manual_seed(seed)
        substitute = _substitute(x, num_classes).to(x.device)
        optimizer = torch.optim.Adam(substitute.parameters(), LEARNING_RATE)
        attack = PGD(
            self.threat, ATTACK_STEPS, step_size(2.5, self.threat.eps, ATTACK_STEPS), random_start=True, loss="margin"
        )
        known, x_adv, open_rows = x, x.clone(), torch.arange(len(x), device=x.device)
        for _ in range(self.rounds):
            self._train(substitute, optimizer, model, known, generator)
            found = attack(substitute, x[open_rows], labels[open_rows], generator)
            with torch.no_grad():
                fooled = model(found).argmax(dim=1) != labels[open_rows]
            x_adv[open_rows[fooled]] = found[fooled]
            known, open_rows = torch.cat([known, found]), open_rows[~fooled]
            if len(open_rows) == 0:
                break
        return x_adv

    def _train(
        self,
        substitute: nn.Module,
        optimizer: torch.optim.Optimizer,
        model: nn.Module,
        known: Tensor,
        generator: torch.Generator,
    ) -> None:
        """Some steps on the network's decisions at images that are known, half of them with noise as large as ε."""
        for _ in range(self.training_steps):
            rows = torch.randint(len(known), (BATCH,), generator=generator).to(known.device)
            noise = self.threat.random_start(known[rows], generator)
            noise[::2] = 0
            images = (known[rows] + noise).clamp(0, 1)
            with torch.no_grad():
                decisions = model(images).argmax(dim=1)
            with torch.enable_grad():
                loss = functional.cross_entropy(substitute(images), decisions)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()


def _substitute(x: Tensor, num_classes: int) -> nn.Module:
    """A small network for images like `x`, on a coarser grid where they are large."""
    pool = max(1, min(x.shape[2:]) // SIDE)
    height, width = (-(-(side // pool) // 2) for side in x.shape[2:])
    return nn.Sequential(
        nn.AvgPool2d(pool),
        nn.Conv2d(x.shape[1], CHANNELS, 3, padding=1), nn.SiLU(),
        nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, stride=2, padding=1), nn.SiLU(),
        nn.Flatten(), nn.Linear(2 * CHANNELS * height * width, num_classes),
    )  # fmt: skip
