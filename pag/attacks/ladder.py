"""One kind of attack at ascending ε, as an attack on a block (`pag.attacks.harness`): what a curve over ε is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import Tensor, nn

from pag.attacks.harness import Ball, BlockAttack, Perturb, check_ball
from pag.attacks.pace import Paced

__all__ = ["Ladder"]

T = TypeVar("T")


@dataclass(frozen=True)
class Ladder:
    """Attacks at ascending ε of one norm, each on the examples that withstood all smaller ε.

    Attributes:
        rungs: the attacks, at least one; all draw from the same seed.
    """

    rungs: tuple[BlockAttack, ...]

    @property
    def title(self) -> str:
        return self.rungs[0].title

    @property
    def stream(self) -> str:
        """That of the first attack, which so does what it does alone."""
        return self.rungs[0].stream

    @property
    def threat(self) -> Ball:
        """The largest; each attack is held to its own."""
        return self.rungs[-1].threat

    def parts(self, model: nn.Module, x: Tensor, num_classes: int, seed: int) -> Mapping[str, Perturb]:
        """The parts of all attacks, by ε and their names."""
        return {
            f"{_prefix(rung)}{name}": _within(rung, perturb)
            for rung in self.rungs
            for name, perturb in rung.parts(model, x, num_classes, seed).items()
        }

    def by_rung(self, by_part: Mapping[str, T]) -> list[T]:
        """Of what was found after each part, in their order, what was found after the last of each rung."""
        return [[found for name, found in by_part.items() if name.startswith(_prefix(rung))][-1] for rung in self.rungs]


def _prefix(rung: BlockAttack) -> str:
    """Of the names of its parts in a ladder."""
    return f"ε = {rung.threat.eps!r} "


def _within(rung: BlockAttack, perturb: Perturb) -> Perturb:
    """The same attack, held to its own ball."""

    def checked(x: Tensor, labels: Tensor) -> Tensor:
        found = perturb(x, labels)
        check_ball(rung, x, found)
        return found

    return replace(perturb, perturb=checked) if isinstance(perturb, Paced) else checked
