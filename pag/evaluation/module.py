"""Any network evaluated in one call: clean and robust accuracy with intervals (section 5.2), and the checks of both.

It is what the stage `evaluate` measures of a classifier of the pipeline, for a model and images in memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from pag.attacks.autoattack import AutoAttack
from pag.attacks.harness import BlockAttack
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.evaluation.accuracy import Robustness, predictions
from pag.evaluation.accuracy import evaluate as attacked
from pag.evaluation.blocks import Blocks
from pag.evaluation.checking import Examined, checked, require_deterministic
from pag.evaluation.intervals import Estimate, Flags, proportion
from pag.evaluation.network import attackable, device_of
from pag.evaluation.sanity import Check, failed, spoils

__all__ = ["Evaluation", "checked_predictions", "evaluate", "examine"]


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a network.

    Attributes:
        correct: `(N,)` bool, right without an attack.
        outcomes: by the threat's name, over the attacked examples: who withstood each part of the attack, and those before it.
        sanity: what the checks found, by their names (`pag.evaluation.sanity` has their meanings).
        confidence: of the intervals.
    """

    correct: Flags
    outcomes: Mapping[str, Robustness]
    sanity: Mapping[str, Check]
    confidence: float

    @property
    def clean(self) -> Estimate:
        """The accuracy without an attack, as a fraction, with its Wilson interval."""
        return proportion(self.correct, self.confidence)

    @property
    def robust(self) -> dict[str, Estimate]:
        """By the threat's name the share of the attacked examples that withstood, as a fraction, with its Wilson interval."""
        return {name: outcome.accuracy for name, outcome in self.outcomes.items()}

    def doubts(self, threat: str | None = None) -> list[str]:
        """The failed checks that spoil the robust accuracy under a threat, or the clean one: do not believe it where there are."""
        return [
            name for name in failed(self.sanity) if spoils(name, "clean" if threat is None else f"autoattack.{threat}")
        ]

    def __str__(self) -> str:
        robust = (
            _line(name, outcome.accuracy, f", ε = {outcome.eps:g}", self.doubts(name))
            for name, outcome in self.outcomes.items()
        )
        return "\n".join([_line("clean", self.clean, "", self.doubts()), *robust])


def _line(what: str, estimate: Estimate, under: str, doubts: list[str]) -> str:
    value, low, high = (f"{100 * number:.1f}" for number in estimate.triple)
    believed = f"; not to be believed, by the checks {', '.join(doubts)}" if doubts else ""
    return f"{what}: {value} % [{low}, {high}], n = {estimate.n}{under}{believed}"


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threats: Mapping[str, Threat],
    *,
    examples: int | None = None,
    attack: Callable[[Threat], BlockAttack] = AutoAttack,
    sanity: Literal["basic", "full"] = "basic",
    seed: int = 0,
    block_size: int = 100,
    workers: int = 1,
    confidence: float = 0.95,
) -> Evaluation:
    """Clean accuracy, accuracy under an attack for each threat, and the checks of whether they are to be believed.

    Where a check says that gradients may be masked, those who withstood are attacked further, without gradients too, and what is
    left counts: that may take several times as long as the attack itself. Results depend on the seed and the size of blocks, but
    not on the number of workers. Progress goes to the standard error. In a process group of torch every rank calls it, attacks its
    part, and gets the whole.

    Args:
        model: `(B, ch, H, W)` in [0, 1] to logits `(B, C)`, C ≥ 2, deterministic, in evaluation mode, on any device; it is left as
            it is.
        images: `(N, ch, H, W)` in [0, 1], on any device; L2 AutoAttack needs at least 5 × 5 pixels.
        labels: `(N,)` int64 in [0, C).
        threats: by any names.
        examples: how many are attacked, the first ones; None: all.
        attack: of a threat; `partial(AutoAttack, attacks=("apgd-ce", "apgd-t"))`, say, is faster, and weaker.
        sanity: `"basic"` checks cost a few hundredths of AutoAttack; `"full"` ones attack every network further.
        seed: of everything that is drawn, non-negative.
        block_size: examples that are attacked together.
        workers: processes, of one torch thread each; with more than one the model is pickled, and the calling script needs
            `if __name__ == "__main__":`.
        confidence: of the intervals, in (0, 1).

    Raises:
        InputError: an argument is not as above, or two forward passes differ.
        FloatingPointError: the logits of an image are not finite.
    """
    if not threats or (examples is not None and examples < 1):
        raise InputError("An evaluation needs at least one threat and one example to attack.")
    few, blocks = slice(examples), Blocks(block_size, seed, workers)
    predicted, labels = checked_predictions(model, images, labels), labels.cpu()
    examined = examine(model, images[few], labels[few], blocks, confidence)
    attacks = {name: attack(threat) for name, threat in threats.items()}
    found = attacked(examined.load, examined.x, examined.labels, attacks, blocks, confidence=confidence)
    outcomes, checks = checked(examined, predicted, labels, threats, found, {}, full=sanity == "full")
    return Evaluation((predicted == labels).numpy(), outcomes, checks, confidence)


def examine(model: nn.Module, images: Tensor, labels: Tensor, blocks: Blocks, confidence: float) -> Examined:
    """A model in memory as attacks and checks take it.

    Raises:
        InputError: two forward passes differ.
    """
    load = attackable(partial(_itself, model), images)
    examined = Examined(load, images, labels, blocks, confidence)
    require_deterministic(examined.probe())
    return examined


def _itself(model: nn.Module) -> nn.Module:
    return model


def checked_predictions(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The predicted class of each image, `(N,)` int64 on the CPU.

    Raises:
        InputError: model, images and labels do not fit each other.
    """
    if any(module.training for module in model.modules()):
        raise InputError("The model is in training mode; call model.eval() before it is evaluated.")
    if images.ndim != 4 or len(images) == 0 or not bool(((images >= 0) & (images <= 1)).all()):
        raise InputError(f"An evaluation needs images (N, ch, H, W) in [0, 1]; these are {tuple(images.shape)}.")
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise InputError(
            f"{len(images)} images need as many labels, int64; these are {tuple(labels.shape)}, {labels.dtype}."
        )
    with torch.no_grad():
        shape = tuple(model(images[:1].to(device_of(model))).shape)
    if len(shape) != 2 or not 0 <= int(labels.min()) <= int(labels.max()) < shape[1]:
        raise InputError(f"The model gives outputs {shape} for an image, and labels go to {int(labels.max())}.")
    return predictions(model, images)
