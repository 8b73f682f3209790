"""Clean and robust accuracy over a test set (section 5.2, appendix D), each with its confidence interval.

Robust accuracy under AutoAttack, under PGD with restarts, and under attacks of Foolbox; all of them block by block
(`pag/blocks.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pag.attacks.autoattack import STANDARD, run_block
from pag.attacks.harness import attack_block
from pag.attacks.pgd import RestartedPGD
from pag.attacks.threats import Threat
from pag.evaluation.blocks import BlockAttack, attack_in_blocks
from pag.evaluation.intervals import Estimate, Flags, normal_quantile, proportion

if TYPE_CHECKING:
    from pag.attacks.foolbox import FoolboxAttack  # else it would cost every process half a second to import Foolbox

__all__ = [
    "AttackOutcome",
    "ThreatOutcome",
    "clean_accuracy",
    "evaluate_autoattack",
    "evaluate_foolbox",
    "evaluate_pgd",
    "predictions",
]


def predictions(model: nn.Module, images: Tensor, batch_size: int = 256) -> Tensor:
    """The predicted class of each of `images`, `(N, *)`; `(N,)` int64 on the CPU. The model's mode is the caller's."""
    device = next(model.parameters()).device
    with torch.no_grad():
        parts = [model(x.to(device)).argmax(dim=1).cpu() for x in torch.split(images, batch_size)]
    return torch.cat(parts)


def clean_accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, batch_size: int = 256, confidence: float = 0.95
) -> Estimate:
    """The accuracy without an attack on `images`, `(N, *)`, with `labels`, `(N,)`."""
    return proportion(predictions(model, images, batch_size) == labels.cpu(), confidence)


@dataclass(frozen=True)
class AttackOutcome:
    """One attack's outcome on N examples.

    Attributes:
        norm: what ε is measured in.
        eps: the largest perturbation that counts.
        robust: `(N,)` bool, right after the attack.
        confidence: of the interval.
    """

    norm: str
    eps: float
    robust: Flags
    confidence: float = 0.95

    @property
    def robust_accuracy(self) -> Estimate:
        """The share that withstood the attack."""
        return proportion(self.robust, self.confidence)

    def as_dict(self) -> dict[str, object]:
        """The form it has in `metrics.json`: `{norm, eps, value, interval, n}`."""
        return {"norm": self.norm, "eps": self.eps, **self.robust_accuracy.as_dict()}


@dataclass(frozen=True)
class ThreatOutcome:
    """AutoAttack's outcome on N examples under one threat.

    Attributes:
        threat: norm and ε.
        clean: `(N,)` bool, right without an attack.
        robust: for each attack, in order, `(N,)` bool: still right after it and those before it.
        confidence: of the interval.
    """

    threat: Threat
    clean: Flags
    robust: Mapping[str, Flags]
    confidence: float = 0.95

    @property
    def robust_accuracy(self) -> Estimate:
        """The share that withstood every attack."""
        return proportion(list(self.robust.values())[-1], self.confidence)

    @property
    def attacks(self) -> dict[str, float]:
        """The accuracy that is left after each attack."""
        return {name: float(flags.mean()) for name, flags in self.robust.items()}

    def as_dict(self) -> dict[str, object]:
        """The form it has in `metrics.json`: `{norm, eps, value, interval, n, attacks}`."""
        where = {"norm": self.threat.norm, "eps": self.threat.eps}
        return {**where, **self.robust_accuracy.as_dict(), "attacks": self.attacks}


@dataclass(frozen=True)
class _AutoAttack:
    """AutoAttack on one block."""

    threat: Threat
    attacks: tuple[str, ...]

    @property
    def stream(self) -> str:
        return f"AutoAttack {self.threat.norm} {self.threat.eps!r}"

    def __call__(self, model: nn.Module, x: Tensor, labels: Tensor, seed: int) -> Mapping[str, Tensor]:
        outcome = run_block(model, x, labels, self.threat, seed, self.attacks)
        return {"clean": outcome.clean, **outcome.robust}


@dataclass(frozen=True)
class _PGD:
    """PGD with restarts on one block; more restarts begin with those of fewer, since they have the same stream."""

    attack: RestartedPGD

    @property
    def stream(self) -> str:
        threat = self.attack.attack.threat
        return f"PGD {threat.norm} {threat.eps!r}"

    def __call__(self, model: nn.Module, x: Tensor, labels: Tensor, seed: int) -> Mapping[str, Tensor]:
        threat, generator = self.attack.attack.threat, torch.Generator().manual_seed(seed)

        def perturb(images: Tensor, true: Tensor) -> Tensor:
            return self.attack(model, images, true, generator)

        return {"robust": attack_block("PGD", model, x, labels, perturb, threat.size, threat.eps).robust}


def evaluate_autoattack(
    model_loader: Callable[[], nn.Module],
    images: Tensor,
    labels: Tensor,
    threats: Mapping[str, Threat],
    block_size: int,
    seed: int,
    workers: int,
    kept: Path | None,
    *,
    attacks: Sequence[str] = STANDARD,
    confidence: float = 0.95,
    description: str = "AutoAttack",
) -> dict[str, ThreatOutcome]:
    """Robust accuracy under AutoAttack (section 5.2); arguments and errors as of `attack_in_blocks`.

    Args:
        threats: by name, at least one; what a block draws depends on the threat's values, not on its name.
        attacks: see `run_block`.
        confidence: of the intervals.

    Returns:
        The outcome of each threat, in the order of `threats`.
    """
    normal_quantile(confidence)  # an impossible one is told before the work
    blocks = {name: _AutoAttack(threat, tuple(attacks)) for name, threat in threats.items()}
    flags = attack_in_blocks(model_loader, images, labels, blocks, block_size, seed, workers, kept, description)
    return {name: ThreatOutcome(threats[name], of.pop("clean"), of, confidence) for name, of in flags.items()}


def evaluate_pgd(
    model_loader: Callable[[], nn.Module],
    images: Tensor,
    labels: Tensor,
    attacks: Mapping[str, RestartedPGD],
    block_size: int,
    seed: int,
    workers: int,
    kept: Path | None,
    *,
    confidence: float = 0.95,
    description: str = "PGD",
) -> dict[str, AttackOutcome]:
    """Robust accuracy under PGD with restarts; arguments and errors as of `attack_in_blocks`.

    Args:
        attacks: by the name of the threat, at least one.
        confidence: of the intervals.

    Returns:
        The outcome under each threat, in the order of `attacks`.
    """
    normal_quantile(confidence)
    blocks: dict[str, BlockAttack] = {name: _PGD(attack) for name, attack in attacks.items()}
    flags = attack_in_blocks(model_loader, images, labels, blocks, block_size, seed, workers, kept, description)
    threats = {name: attack.attack.threat for name, attack in attacks.items()}
    return {name: AttackOutcome(t.norm, t.eps, flags[name]["robust"], confidence) for name, t in threats.items()}


def evaluate_foolbox(
    model_loader: Callable[[], nn.Module],
    images: Tensor,
    labels: Tensor,
    attacks: "Sequence[FoolboxAttack]",
    block_size: int,
    seed: int,
    workers: int,
    kept: Path | None,
    *,
    confidence: float = 0.95,
    description: str = "Foolbox",
) -> dict[str, AttackOutcome]:
    """Robust accuracy under attacks of Foolbox, each on its own (appendix D); arguments and errors as of `attack_in_blocks`.

    Args:
        attacks: at least one, each name once.
        confidence: of the intervals.

    Returns:
        The outcome of each attack by its name, in the order of `attacks`.
    """
    normal_quantile(confidence)
    blocks: dict[str, BlockAttack] = {attack.name: attack for attack in attacks}
    flags = attack_in_blocks(model_loader, images, labels, blocks, block_size, seed, workers, kept, description)
    return {a.name: AttackOutcome(a.norm, a.eps, flags[a.name]["robust"], confidence) for a in attacks}
