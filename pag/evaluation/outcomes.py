"""Checks that need nothing but outcomes: predictions on the test set, and who withstood which attack."""

from collections.abc import Iterator, Mapping
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from pag.evaluation.accuracy import Robustness
from pag.evaluation.intervals import Flags, wilson_interval
from pag.evaluation.sanity import Check, judged, of_share

__all__ = ["FURTHER_CHECKS", "clean_checks", "further_checks", "outcome_checks"]

SQUARE = "square"
FURTHER_CHECKS = {"pgd-margin": "more_steps", "substitute": "transfer", "square-more": "more_queries"}
"""The check of each attack of `pag.attacks.unmasking`, in their order."""


def clean_checks(predicted: NDArray[np.int64], labels: NDArray[np.int64], confidence: float) -> dict[str, Check]:
    """Whether a network knows anything: by its predictions on the whole test set, and labels, both `(N,)`."""
    right, n = int((predicted == labels).sum()), len(labels)
    most_frequent = int(np.bincount(labels).max()) / n
    lowest, _ = wilson_interval(right, n, 2 * confidence - 1 if confidence > 0.5 else confidence)  # one-sided
    return {
        "above_chance": judged("above_chance", lowest, most_frequent),
        "predicted_classes": judged("predicted_classes", float(len(np.unique(predicted)))),
    }


def outcome_checks(
    correct: Flags, autoattack: Mapping[str, Robustness], others: Mapping[str, Robustness]
) -> dict[str, Check]:
    """What the outcomes of attacks must satisfy among themselves.

    Args:
        correct: `(N,)` bool, right without an attack, over at least as many examples as any attack had.
        autoattack: its outcomes by threat.
        others: those of other attacks, by any names.
    """
    attacked = [*autoattack.values(), *others.values()]
    count = sum(len(outcome.clean) for outcome in attacked)
    moved = sum(int((outcome.clean != correct[: len(outcome.clean)]).sum()) for outcome in attacked)
    gained = sum(int((outcome.withstood & ~correct[: len(outcome.withstood)]).sum()) for outcome in attacked)
    return {
        "unperturbed": of_share("unperturbed", moved, count),
        "within_clean": of_share("within_clean", gained, count),
        "adversarial_examples": judged("adversarial_examples", _held(attacked)),
        **{f"black_box.{name}": check for name, outcome in autoattack.items() for check in _black_box(outcome)},
        **_growing_eps(autoattack),
    }


def _held(attacked: list[Robustness]) -> float:
    """The share of adversarial examples that hold when they are read again; 1 where there is none."""
    looked_at = [(o.clean & ~o.withstood, o.holds) for o in attacked if o.holds is not None]
    found = sum(int(fooled.sum()) for fooled, _ in looked_at)
    return sum(int((fooled & held).sum()) for fooled, held in looked_at) / found if found else 1.0


def _black_box(outcome: Robustness) -> Iterator[Check]:
    """AutoAttack's flag, where Square came after attacks by gradients."""
    names = list(outcome.robust)
    if SQUARE in names[1:]:
        before = outcome.robust[names[names.index(SQUARE) - 1]]
        yield of_share("black_box", int((before & ~outcome.robust[SQUARE]).sum()), len(before))


def _growing_eps(autoattack: Mapping[str, Robustness]) -> dict[str, Check]:
    """For each threat with a smaller one of its norm: by how much more accurate the network is at the larger ε."""
    grown: dict[str, int] = {}
    for (_, small), (name, large) in permutations(autoattack.items(), 2):
        if small.norm == large.norm and small.eps < large.eps:
            grown[name] = max(grown.get(name, 0), int(large.withstood.sum()) - int(small.withstood.sum()))
    n = len(next(iter(autoattack.values())).clean)
    return {f"growing_eps.{name}": of_share("growing_eps", count, n) for name, count in grown.items()}


def further_checks(name: str, before: Robustness, after: Robustness) -> dict[str, Check]:
    """How many of those who withstood the attacks under a threat fell to each of the further ones (`pag.attacks.unmasking`).

    More steps may change the accuracy by less than the half-width of its interval.
    """
    checks, last, n = {}, before.withstood, len(before.withstood)
    for part, kind in FURTHER_CHECKS.items():
        if part not in after.robust:
            continue
        fell, last = int((last & ~after.robust[part]).sum()), after.robust[part]
        interval = before.accuracy.value - before.accuracy.interval[0]
        checks[f"{kind}.{name}"] = judged(kind, fell / n, interval) if kind == "more_steps" else of_share(kind, fell, n)
    return checks
