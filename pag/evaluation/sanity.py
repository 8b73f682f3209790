"""Checks of an evaluation: what tells a robust network from one that hides from attacks, or that knows nothing.

A robust accuracy is what is left after the attacks that were tried. Where gradients are masked (Athalye, Carlini and Wagner, 2018)
an attack fails though an adversarial example is near, and where a network always gives one class no attack can succeed. Every check
is a number with a bar; their names and meanings stand here, without torch, for those who measure and those who show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["CHECKS", "Check", "CheckKind", "failed", "judged", "kind_of", "masked", "of_share", "spoils"]

ATHALYE = "Athalye et al. 2018, section 3.1"
AUTOATTACK = "AutoAttack's flags (Croce and Hein, 2020)"
CARLINI = "Carlini et al. 2019, section 4"

Number = Annotated[float, Field(allow_inf_nan=False)]


class Check(BaseModel):
    """What a check found.

    Attributes:
        value: what was measured.
        bar: what it was held to.
        passed: whether it is on the right side of the bar.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Number
    bar: Number
    passed: bool


@dataclass(frozen=True)
class CheckKind:
    """A check, as results name it.

    Attributes:
        meaning: what is measured, in a line.
        source: whose advice it is.
        bar: that the value must not exceed; None where it is computed.
        lowest: whether the bar is the least that the value must reach instead.
        masking: whether a failure says that attacks may have failed where an adversarial example is near.
        clean: whether a failure spoils the accuracy without an attack, too.
        full: whether it is measured only where all checks are asked for.
    """

    meaning: str
    source: str
    bar: float | None = None
    lowest: bool = False
    masking: bool = False
    clean: bool = False
    full: bool = False


SMALL = 0.002  # AutoAttack's, of the examples that Square alone may fool

CHECKS: Mapping[str, CheckKind] = {
    "deterministic": CheckKind(
        "largest difference between two forward passes, relative to the largest output",
        AUTOATTACK,
        1e-4,
        clean=True,
    ),
    "probabilities": CheckKind(
        "share of images whose outputs are no logits: not negative, and of sum 1",
        AUTOATTACK,
        0.0,
        masking=True,
    ),
    "zero_gradient": CheckKind(
        "share of images at which the margin's input gradient is 0, or lost in float32's rounding",
        AUTOATTACK,
        0.01,
        masking=True,
    ),
    "large_eps": CheckKind(
        "share of images that withstand PGD of unbounded ε, though another image fools the network",
        ATHALYE,
        0.05,
        masking=True,
    ),
    "above_chance": CheckKind(
        "lower end of clean accuracy, against the share of the most frequent class",
        CARLINI,
        lowest=True,
        clean=True,
    ),
    "predicted_classes": CheckKind(
        "number of classes that are ever predicted",
        CARLINI,
        2.0,
        lowest=True,
        clean=True,
    ),
    "unperturbed": CheckKind(
        "share of examples whose outcome at ε = 0 is not that without an attack",
        CARLINI,
        SMALL,
        clean=True,
    ),
    "within_clean": CheckKind(
        "share of examples that are right under an attack and wrong without",
        CARLINI,
        SMALL,
    ),
    "adversarial_examples": CheckKind(
        "share of adversarial examples that hold when they are read again, in float64",
        CARLINI,
        1.0,
        lowest=True,
    ),
    "growing_eps": CheckKind(
        "by how much accuracy grows from one ε to a larger one",
        CARLINI,
        0.0,
        masking=True,
    ),
    "black_box": CheckKind(
        "share of examples that withstand the gradient attacks and fall to Square",
        AUTOATTACK,
        SMALL,
        masking=True,
    ),
    "noise": CheckKind(
        "share of examples that withstand the attack and fall to random noise of its size",
        ATHALYE,
        SMALL,
        masking=True,
    ),
    "one_step": CheckKind(
        "share of examples that withstand the attack and fall to a single step of it",
        ATHALYE,
        SMALL,
        masking=True,
    ),
    "transfer": CheckKind(
        "share of examples that withstand the attack and fall to one on a substitute network",
        ATHALYE,
        SMALL,
        masking=True,
        full=True,
    ),
    "more_steps": CheckKind(
        "share of examples that withstand the attack and fall to PGD of more steps and starts",
        CARLINI,
        masking=True,
        full=True,
    ),
    "more_queries": CheckKind(
        "share of examples that withstand the attack and fall to Square with more queries",
        AUTOATTACK,
        SMALL,
        masking=True,
        full=True,
    ),
    "other_blocks": CheckKind(
        "share of examples whose outcome differs in blocks of another size",
        CARLINI,
        SMALL,
        full=True,
    ),
}


def kind_of(name: str) -> CheckKind:
    """The kind of a check: `noise.l2` is `noise`, held under the threat `l2`."""
    return CHECKS[name.partition(".")[0]]


def judged(name: str, value: float, bar: float | None = None) -> Check:
    """A check's value against its bar.

    Args:
        name: a key of `CHECKS`, with a threat behind a dot or without.
        value: finite.
        bar: where it is computed; None: the kind's own.
    """
    kind = kind_of(name)
    held_to = kind.bar if bar is None else bar
    assert held_to is not None, name
    return Check(value=value, bar=held_to, passed=value >= held_to if kind.lowest else value <= held_to)


def of_share(name: str, hits: int, n: int) -> Check:
    """A share of `n` examples that should be almost none: a single one is no failure yet, however few there are."""
    return judged(name, hits / n, max(kind_of(name).bar or 0.0, 1 / n))


def failed(checks: Mapping[str, Check]) -> list[str]:
    """The names of those that failed, in order."""
    return [name for name, check in checks.items() if not check.passed]


def masked(checks: Mapping[str, Check], threat: str) -> bool:
    """Whether a failed check says that the attacks under a threat may have missed adversarial examples."""
    return any(kind_of(name).masking and name.partition(".")[2] in ("", threat) for name in failed(checks))


def spoils(name: str, measure: str) -> bool:
    """Whether a failed check spoils a measure, by its dotted name: `noise.l2` spoils `autoattack.l2` and `pgd.l2`.

    One that knows no threat spoils every accuracy under an attack, and some the clean one, too; none spoils alignment.
    """
    attack, _, of = measure.partition(".")
    if attack == "alignment" or not of:
        return attack == "clean" and kind_of(name).clean
    threat = name.partition(".")[2]
    return not threat or (attack != "foolbox" and of == threat)
