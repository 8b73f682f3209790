"""Projected gradient descent from several random starts: an attack on a block of examples (`pag.attacks.harness`)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pag.attacks.harness import Perturb
from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.base.errors import InputError

__all__ = ["RestartedPGD"]


@dataclass(frozen=True)
class RestartedPGD:
    """The worst case over several random starts: of each example the first adversarial one that is found.

    Attributes:
        attack: run from every start.
        restarts: how many starts, at least 1; the starts of fewer are the first of those of more.

    Raises:
        InputError: there is no start, or all starts would be the same.
    """

    attack: PGD
    restarts: int

    def __post_init__(self) -> None:
        if self.restarts < 1:
            raise InputError(f"PGD needs at least one start, not {self.restarts}.")
        if self.restarts > 1 and not self.attack.random_start:
            raise InputError(f"{self.restarts} starts of PGD are the same one unless they are random.")

    def __call__(self, model: nn.Module, x: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As `PGD`; an example that withstands every start comes back as the last one left it."""
        x_adv = self.attack(model, x, labels, generator)
        for _ in range(self.restarts - 1):
            rows = self._withstood(model, x_adv, labels).nonzero().flatten()
            if len(rows) == 0:
                break
            x_adv = x_adv.index_copy(0, rows, self.attack(model, x[rows], labels[rows], generator))
        return x_adv

    @property
    def title(self) -> str:
        return "PGD"

    @property
    def stream(self) -> str:
        """The same for any number of restarts and steps, so that more restarts begin with those of fewer."""
        return f"PGD {self.threat.norm} {self.threat.eps!r}"

    @property
    def threat(self) -> Threat:
        return self.attack.threat

    def parts(self, model: nn.Module, x: Tensor, num_classes: int, seed: int) -> Mapping[str, Perturb]:
        """PGD alone; the seed is of all its starts."""
        generator = torch.Generator().manual_seed(seed)
        return {"pgd": lambda images, labels: self(model, images, labels, generator)}

    @torch.no_grad()
    def _withstood(self, model: nn.Module, x_adv: Tensor, labels: Tensor) -> Tensor:
        as_labelled: Tensor = model(x_adv).argmax(dim=1) == labels
        return ~as_labelled if self.attack.targeted else as_labelled
